#include "fuse/mountpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what is there ---- */

/* An O_PATH descriptor ends at the topmost mount, whatever the table of mounts says of paths; what it ends at is not asked for anything.
 * (With O_DIRECTORY an automount would mount.) */
static bool mount_id(const char *path, int *ret_id)
{
    char name[64], line[256];
    int fd = open(path, O_PATH | O_CLOEXEC);
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    FILE *f = fd >= 0 ? fopen(name, "re") : NULL;
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = sscanf(line, "mnt_id: %d", ret_id) == 1;
    if (f)
        fclose(f);
    if (fd >= 0)
        close(fd);
    return found;
}

/* A line of /proc/self/mountinfo: "ID PARENT DEVICE ROOT PATH OPTIONS… - TYPE SOURCE OPTIONS", no blanks in between. */
MUST_USE static bool understand(const char *line, int wanted, struct mounted *ret_mounted)
{
    struct mounted is;
    int id;
    if (sscanf(line, "%d %*d %23s", &id, is.device) != 2 || id != wanted)
        return false;
    is.rgkvfs = strstr(line, " - fuse.rgkvfs ") != NULL;
    *ret_mounted = is;
    return true;
}

bool mountpoint_look(const char *path, struct mounted *ret_mounted)
{
    int id;
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    FILE *f = mount_id(path, &id) ? fopen("/proc/self/mountinfo", "re") : NULL;
    while (f && !found && getline(&line, &room, f) > 0)
        found = understand(line, id, ret_mounted);
    if (f)
        fclose(f);
    free(line);
    return found;
}

bool mountpoint_dead(const char *path)
{
    struct stat st;
    return stat(path, &st) && errno == ENOTCONN;
}

/* ---- taking it down ---- */

static int run_fusermount(const char *path)
{
    pid_t pid = fork();
    if (!pid) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", path, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -1;
}

void mountpoint_detach(const char *path)
{
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) && errno == EPERM)
        (void)run_fusermount(path);
}

/* ---- before something is mounted ---- */

/* Not a directory of such a mount. */
static bool mounted_already(const char *path)
{
    struct mounted there;
    struct statx st;
    bool root = !statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, 0, &st) && st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
    return root && mountpoint_look(path, &there) && there.rgkvfs;
}

static bool empty_directory(const char *path)
{
    DIR *d = opendir(path);
    unsigned n = 0;
    while (d && n < 3 && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n < 3; /* itself and its parent */
}

enum rgkv_err mountpoint_check(const struct options *o, struct buf *why)
{
    struct stat st;
    if (mountpoint_dead(o->mountpoint))
        mountpoint_detach(o->mountpoint);
    if (stat(o->mountpoint, &st))
        buf_printf(why, "mount point %s: %s", o->mountpoint, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        buf_printf(why, "mount point %s is not a directory", o->mountpoint);
    else if (!o->nonempty && mounted_already(o->mountpoint))
        buf_printf(why, "mount point %s is an rgkvfs mount already (-o nonempty mounts over it)", o->mountpoint);
    else if (!o->nonempty && !empty_directory(o->mountpoint))
        buf_printf(why, "mount point %s is not empty (-o nonempty mounts over it)", o->mountpoint);
    else
        return RGKV_OK;
    return RGKV_INVALID;
}
