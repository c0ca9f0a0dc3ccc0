#!/bin/bash
# The tools that people use, and what comes out of them.
#
#     tests/fuse/tools.sh DIR      runs each tool in a directory of its own below DIR and prints the results
#     tests/fuse/tools.sh          does so on a local directory and on a mount: what is printed must be the same
#
# A tool's results are what it prints, its exit status, and the tree that it leaves: names, types, modes, sizes, targets
# of links, contents. Times are printed where a tool set them. TOOLS="cat cp" runs only these.
set -u
export LC_ALL=C TZ=UTC HOME=/nonexistent
umask 022

# ---- results ----

# tree [DIR]: everything below, in order.
tree() { find "${1:-.}" -mindepth 1 \( -type d -printf '%P/ %m\n' -o -type l -printf '%P -> %l\n' -o -printf '%P %m %s\n' \) | sort; }
sums() { find "${1:-.}" -type f -print0 | sort -z | xargs -0r sha256sum; }
# seeded NAME BYTES: the same bytes each time.
seeded() { python3 -c 'import random, sys; sys.stdout.buffer.write(random.Random(7).randbytes(int(sys.argv[1])))' "$2" >"$1"; }
a_tree() {
    mkdir -p "$1/sub/deep" "$1/empty"
    echo one >"$1/one"
    seq 5000 >"$1/sub/numbers"
    seeded "$1/sub/deep/blob" 300000
    : >"$1/nothing"
    ln -s sub/numbers "$1/link"
    ln -s nowhere "$1/dangling"
    chmod 640 "$1/one"
    chmod 755 "$1/sub/numbers"
    touch -d '2001-02-03 04:05:06.789012345' "$1/one" "$1/sub/numbers" "$1/sub"
    touch -h -d '2002-02-02 02:02:02' "$1/link"
}

# ---- tools: each runs in an empty directory ----

tool_cat() {
    seq 10000 >a
    seq 10001 20000 >b
    cat a b >c && cat c c >>d && wc -lc d && cat <c | cmp - c && cat nothing
}
tool_cp() {
    a_tree t
    cp t/sub/numbers copy && cp -a t t2 && cp -r t t3 && cp -p t/one kept && cp --sparse=always t/sub/deep/blob sparse
    cp -a t/. into && cp -u t/one kept && cp -n t/nothing kept && cp t/link followed && cp -P t/link linked
    stat -c '%n %y %a' t2/one t2/sub/numbers kept
    stat -c '%n %y' t2/link
    diff -r --no-dereference t t2 && diff -r --no-dereference t into && tree && sums t3
}
tool_mv() {
    a_tree t
    mv t/one renamed && mv t/sub t/sub2 && mv t moved && mv moved/sub2/deep . && echo new >new && mv new renamed && mv -n deep/blob renamed
    mkdir full && : >full/x && mkdir dir && mv -T dir full
    mkdir other && mv -T other dir && mv renamed dir/ && mv moved/link moved/link2
    tree
    sums
}
tool_rm() {
    a_tree t
    a_tree u
    mkdir -p many && (cd many && seq 300 | xargs touch)
    rm t/one && rm -r t/sub && rm -rf nothing && rmdir t/empty && rmdir t; rm u; rm -rf u many
    tree
}
tool_sed() {
    seq 1000 >f
    chmod 600 f
    sed -i 's/9/nine/g' f && sed -i.bak '1,990d' f && sed -n '$p' f
    tree
    sums
}
tool_tee() {
    seq 5 | tee a b >c
    seq 3 | tee -a a >/dev/null
    seq 100000 | tee big | tail -n 1
    sums
}
tool_dd() {
    dd if=/dev/zero of=z bs=4k count=10 conv=fsync status=none
    seeded r 100000
    dd if=r of=a bs=1000 status=none && dd if=r of=z bs=1 skip=10 seek=5000 count=17 conv=notrunc status=none
    dd if=r of=z bs=512 seek=100 count=3 conv=notrunc,fsync status=none
    dd if=r of=cut bs=100 count=9 seek=3 status=none && dd if=r of=cut bs=50 count=1 seek=1 status=none
    dd if=r of=app bs=777 count=5 oflag=append conv=notrunc status=none && dd if=r of=app bs=777 count=5 oflag=append conv=notrunc status=none
    dd if=/dev/null of=hole bs=1 seek=123456 status=none && dd if=z bs=1 skip=5000 count=17 status=none | sha256sum
    dd if=r of=sync bs=10000 oflag=sync status=none && dd if=r of=direct.not bs=4096 count=2 status=none
    tree
    sums
}
tool_touch() {
    touch a && touch -c missing && touch -d '1999-12-31 23:59:59.5' a && touch -r a b && touch -m -d '2030-01-01' b && touch -a -d '1980-01-01' b
    mkdir d && touch -d '2010-10-10' d
    stat -c '%n %y' a b d
    stat -c '%n %s' a b
    stat -c '%X' b
    touch none/file
    tree
}
tool_install() {
    seq 10 >f
    install -m 4755 f prog && install -d -m 750 dir/inner && install -D -m 600 f deep/er/file && install -p -m 644 f dir && install -b f prog
    tree
}
tool_chmod_chown() {
    a_tree t
    chmod -R go-rwx t && chmod u+s t/sub/numbers && chmod +t t/sub && chmod 000 t/one && chmod 644 t/one
    chown -R 1234:5678 t && chown -h 1:2 t/link && chgrp 99 t/one
    mkdir group && chgrp 77 group && chmod 2775 group && echo x >group/file && mkdir group/dir && ln -s x group/link && mktemp -p group same.XXXXXX >/dev/null
    echo y >group/dir/deep && mv group/same.* group/same && cp group/file group/copy && chmod g-s group && echo x >group/later
    find t group -printf '%p %u:%g %m\n' | sort
}
tool_tar() {
    a_tree t
    tar -cf t.tar --sort=name --mtime=@0 t && tar -tf t.tar && mkdir out && tar -xpf t.tar -C out && diff -r --no-dereference t out/t
    tar -czf t.tgz t && mkdir out2 && tar -xzpf t.tgz -C out2 && stat -c '%n %y %a' out2/t/one out2/t/sub
    tar -rf t.tar t/one && tar -df t.tar t/link && tar -xf t.tar --overwrite -C out && tree out && sums out2
}
tool_rsync() {
    a_tree t
    rsync -a t/ copy/ && diff -r --no-dereference t copy && echo "again:" && rsync -ai t/ copy/
    echo changed >t/one && rm t/sub/numbers && echo "changed:" && rsync -ai --delete t/ copy/ | grep -v '^\.d' && diff -r --no-dereference t copy
    echo more >>t/sub/deep/blob && rsync -a --inplace --no-whole-file t/ copy/ && rsync -ac --append-verify t/ copy/ && echo "again:" && rsync -aic t/ copy/
    tree copy
    sums copy
}
tool_git() {
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
    git init -q -b main repo && cd repo && a_tree t && git add -A && git commit -q -m one && seq 100 >t/one && git commit -qam two
    git checkout -q -b side HEAD~ && echo side >side && git add side && git commit -qm side && git checkout -q main && git merge -q -m merged side
    git log --format='%H %s' && git status --porcelain && git gc -q && git fsck --full --strict 2>&1 && git repack -adq
    cd .. && git clone -q repo clone && cd clone && git log --format='%H %s' -1 && git mv t/one t/uno && git commit -qm moved && git push -q origin HEAD:refs/heads/pushed
    git -C ../repo log --format='%H' -1 pushed && git stash list && git worktree add -q ../tree HEAD~ && git fsck 2>&1 && cd .. && rm -rf clone && sums repo/t
}
tool_vim() {
    seq 20 >f
    vim -N -es -u NONE -i NONE -c 'set backup writebackup backupdir=. directory=.' -c '%s/1/one/g' -c w -c '1d' -c wq f
    vim -N -es -u NONE -i NONE -c 'set backup backupcopy=yes backupdir=. directory=.' -c '$d' -c wq f
    vim -N -es -u NONE -i NONE -c 'set nobackup backupcopy=no directory=.' -c '1d' -c wq f
    vim -N -es -u NONE -i NONE -c 'set directory=.' -c 'r f' -c 'w new' -c q! f
    tree
    sums
}
tool_sqlite3() {
    sqlite3 db 'create table t(a integer primary key, b text); create index i on t(b);'
    sqlite3 db "with recursive n(x) as (select 1 union all select x + 1 from n where x < 5000) insert into t select x, 'row ' || x from n;"
    sqlite3 db 'begin; delete from t where a % 3 = 0; rollback;' 'begin; delete from t where a % 5 = 0; commit;' 'update t set b = b || "!" where a < 100;' 'vacuum;'
    for mode in delete truncate persist; do sqlite3 db "pragma journal_mode = $mode;" "insert into t(b) values('$mode');"; done
    sqlite3 db 'pragma integrity_check;' 'select count(*), sum(a), max(b) from t;' && sqlite3 db .dump | sha256sum
    for i in 1 2 3 4; do 
        for j in 1 2 3 4 5; do sqlite3 -cmd '.timeout 20000' db "insert into t(b) values('at once $i $j');"; done &
    done
    wait
    sqlite3 db 'select count(*) from t;' 'pragma integrity_check;'
    ls
}
tool_sqlite3_wal() {
    sqlite3 db 'pragma journal_mode = wal; create table t(a integer primary key, b text);'
    for i in 1 2 3; do
        for j in 1 2 3 4 5; do sqlite3 -cmd '.timeout 20000' db "insert into t(b) values('at once $i $j');"; done &
    done
    wait
    sqlite3 db 'select count(*) from t;' 'pragma wal_checkpoint(truncate);' 'pragma integrity_check;' 'pragma journal_mode = delete;'
    ls
}
tool_find() {
    a_tree t
    find t | sort && find t -type f -size +1k | sort && find t -type l -printf '%p %l\n' | sort && find t -newermt 2001-02-04 -type f | sort
    find t -empty | sort && find t -name 'n*' -exec cp {} . \; && find t -type f -delete && find t -depth -type d -empty -delete && tree
    mkdir -p many && (cd many && seq 1500 | xargs touch) && find many -type f | wc -l && ls many | sort -n | tail -n 1 && ls -f many | wc -l
}
tool_du_df() {
    a_tree t
    find t -type f -exec du -b {} + | sort && [ "$(du -s t | cut -f1)" -gt 300 ] && echo "du counts blocks"
    df -P . | awk 'NR == 2 { print ($2 > 0), ($4 > 0) }' && df -i . | awk 'NR == 2 { print NF }' && stat -f -c %l .
}
tool_tail() {
    echo first >log
    tail -n +1 -f log >seen &
    local follower=$! i
    for i in 1 2 3 4 5; do echo "line $i" >>log; done
    for i in $(seq 200); do [ "$(wc -l <seen)" -ge 6 ] && break; sleep 0.1; done
    kill "$follower"
    wait "$follower" 2>/dev/null
    cat seen
    tail -n 2 log && tail -c 7 log && head -n 2 log
}
tool_sort() {
    seq 3000 | sort -R --random-source=/dev/zero >f
    sort -n -o f f && head -n 3 f && sort -r -u -o f f && tail -n 1 f && sort -T . -S 50k -n -o g f && sums
}
tool_ln() {
    mkdir d && echo x >d/f
    ln -s d/f rel && ln -s "$(printf 'x%.0s' $(seq 200))" long && ln -sf d there && ln -sfn other there && cat rel && readlink rel && ln -s loop loop; cat loop
    ln -s d/f rel; tree
}
tool_truncate() {
    seq 1000 >f
    truncate -s 100 f && truncate -s 5000 f && truncate -s +7 f && truncate -s 0 g && : >f2 && truncate -s 1M f2 && fallocate -l 0 f2
    tail -c 20 f | od -An -c && tree && sums
}
tool_shell() {
    for i in 1 2 3; do echo "line $i" >>log; done
    printf 'a\nb\nc\n' >p
    exec 3>kept && echo one >&3 && echo two >&3 && exec 3>&-
    exec 4<>both && echo hello >&4 && exec 4>&- && cat both
    set -C; echo x >p; set +C; echo y >|q
    while read -r x; do echo "<$x>"; done <p
    mktemp -p . tmp.XXXXXX >/dev/null && ls tmp.* | wc -l && rm tmp.*
    dash -c 'echo dash >d; echo more >>d; cat d' && cat log kept && split -l 2 log part && cat part* && cmp log <(cat part*) && tree
    echo text >"$(printf 'n%.0s' $(seq 255))" && ls | wc -L && echo x >"$(printf 'n%.0s' $(seq 256))"
}
tool_python() {
    a_tree t
    python3 - <<'PY'
import errno, fcntl, mmap, os, shutil, tempfile, zipfile
shutil.copytree("t", "t2", symlinks=True); shutil.move("t2/one", "moved"); shutil.copy2("moved", "kept"); shutil.move("t2/sub", "sub")
print(sorted(os.listdir(".")), os.stat("kept").st_mtime_ns, oct(os.stat("kept").st_mode))
shutil.make_archive("a", "zip", "t2"); print(sorted(zipfile.ZipFile("a.zip").namelist())); os.unlink("a.zip"); shutil.rmtree("t2"); print(os.path.exists("t2"))
with tempfile.TemporaryDirectory(dir=".") as d, tempfile.NamedTemporaryFile(dir=d) as f:
    f.write(b"x" * 70000); f.flush(); print(os.path.getsize(f.name)); os.rename(f.name, f.name + "2"); os.rename(f.name + "2", f.name)
with tempfile.TemporaryFile(dir=".") as f:
    f.write(b"unlinked"); f.seek(0); print(f.read())
with tempfile.SpooledTemporaryFile(max_size=10, dir=".") as f: f.write(b"y" * 100); f.seek(0); print(len(f.read()))
with open("m", "wb") as f: f.write(bytes(range(256)) * 64)
with open("m", "r+b") as f:
    with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY) as m: m[0:4] = b"copy"; print(m[0:8], m.find(b"\xff\x00"))
print(open("m", "rb").read(4))
fd = os.open("excl", os.O_CREAT | os.O_EXCL | os.O_RDWR)
try: os.open("excl", os.O_CREAT | os.O_EXCL)
except OSError as e: print(errno.errorcode[e.errno])
fcntl.lockf(fd, fcntl.LOCK_EX); fcntl.flock(fd, fcntl.LOCK_EX)
os.pwrite(fd, b"abc", 10); os.pwritev(fd, [b"12", b"34"], 2); print(os.pread(fd, 20, 0), os.lseek(fd, 0, os.SEEK_END)); os.ftruncate(fd, 5); os.fsync(fd); os.close(fd)
print(open("excl", "rb").read())
os.replace("excl", "replaced"); os.truncate("replaced", 3); os.utime("replaced", ns=(10**18 + 1, 10**18 + 2)); print(os.stat("replaced").st_mtime_ns)
for what in (lambda: os.rmdir("t"), lambda: os.unlink("t"), lambda: os.rename("t", "t/x"), lambda: os.mkdir("t"), lambda: os.rmdir("moved"),
             lambda: os.rename("moved", "t"), lambda: os.rename("t", "moved"), lambda: open("t", "w"), lambda: os.listdir("moved"),
             lambda: os.stat("moved/x"), lambda: os.readlink("moved"), lambda: os.symlink("x", "moved"), lambda: os.truncate("t", 0), lambda: os.unlink("none")):
    try: what(); print("done")
    except OSError as e: print(errno.errorcode[e.errno])
with open("text", "w") as f: print(*range(100000), sep="\n", file=f)
with open("text") as f: print(sum(map(int, f)))
with open("text", "a+") as f: f.write("end\n"); f.seek(0); print(f.readline().strip(), f.tell() > 0)
PY
    tree
    sums
}
tool_shared_map() {
    python3 - <<'PY'
import mmap
with open("m", "wb") as f: f.write(bytes(range(256)) * 64)
for access in (mmap.ACCESS_READ, mmap.ACCESS_WRITE):
    with open("m", "r+b") as f:
        with mmap.mmap(f.fileno(), 0, access=access) as m:
            print(m[4:8], len(m))
            if access == mmap.ACCESS_WRITE: m[10:14] = b"map!"; m.flush()
print(open("m", "rb").read()[8:16])
PY
}
tool_compiler() {
    cat >main.c <<'C'
#include <stdio.h>
#include "part.h"
int main(void) { printf("%d\n", part(20)); return 0; }
C
    echo 'int part(int x);' >part.h
    printf '#include "part.h"\nint part(int x) { return x + 22; }\n' >part.c
    printf 'prog: main.o libpart.a\n\t$(CC) -o $@ main.o -L. -lpart\nlibpart.a: part.o\n\tar rcD $@ part.o\n%%.o: %%.c part.h\n\t$(CC) -O1 -g -c $<\n' >Makefile
    make -s && ./prog && make -q && echo "up to date" && touch -d '1990-01-01' part.o && make -n | grep -c part.c && strip prog && ./prog && ls
}
tool_editors_of_streams() {
    seq 100 >f
    python3 -c 'import fileinput
for line in fileinput.input("f", inplace=True, backup=".old"): print(line.strip() + "!")'
    perl -pi.orig -e 's/!/?/' f && awk -i inplace 1 f 2>/dev/null
    gzip -kn f && gzip -d -c f.gz | cmp - f && xz -k f && xz -dc f.xz | cmp - f && head -n 2 f && patch -s f <<'P'
--- f
+++ f
@@ -1,2 +1,2 @@
-1?
+one
 2?
P
    head -n 1 f && ls
}

# ---- on one directory ----

# Shared maps want a kernel that knows how (or a mount with a cache).
maps_shared() { python3 -c 'import os, sys; sys.exit(tuple(map(int, os.uname().release.split(".")[:2])) < (6, 6))'; }
tools=$(declare -F | sed -n 's/^declare -f tool_//p')
maps_shared || tools=$(grep -vE '^(shared_map|sqlite3_wal)$' <<<"$tools")

run_tool() {
    mkdir "$1" && cd "$1" || exit 1
    echo "== $1"
    "tool_$1" 2>&1
    echo "-- status $?"
}

run_all() {
    local tool
    cd "$1" || exit 1
    for tool in ${TOOLS:-$tools}; do
        timeout 120 bash "$self" --tool "$tool"
        case $? in 124) echo "$tool: over its time limit" ;; esac
    done
    # The same names at the top: in different shards on a mount.
    echo "== at the top"
    for i in 1 2 3 4 5 6 7 8; do echo "$i" >"top$i"; done
    mv top1 top9 && mv top2 top3 && cp -a top4 top10; ln -s top5 top11; sed -i s/6/six/ top6; mkdir topdir && mv top7 topdir/ && mv topdir/top7 top12; mv topdir topdir2
    for i in 3 4 5 6 8 9 10 11 12; do echo "$i $(cat "top$i")"; done
    ls -d top*
}

self=$(realpath "$0")
case ${1:-} in
--tool) run_tool "$2"; exit ;;
?*) run_all "$(realpath "$1")"; exit ;;
esac

# ---- on both ----

for program in git rsync vim sqlite3 gcc make perl patch; do command -v "$program" >/dev/null || { echo "SKIP: $program is missing"; exit 77; }; done
. "${top_srcdir:-.}/tests/fuse/lib.sh" || exit 1
limit 300
nodes=${NODES:-3}
cluster_start "$nodes"
mount_start a || exit 1
join_all 101 || exit 1
mkdir "$work/local"
begin=$SECONDS
bash "$self" "$work/local" 2>&1 | sed "s|$work/local|DIR|g" >"$work/results.local" &
beside=$!
bash "$self" "$work/a" 2>&1 | sed "s|$work/a|DIR|g" >"$work/results.mount"
wait "$beside"
echo "$((SECONDS - begin)) s, $(wc -l <"$work/results.local") lines"
check "every tool ends alike" diff "$work/results.local" "$work/results.mount"
check "none of them failed to run" test "$(grep -c '^== ' "$work/results.local")" -ge 20
check_same "nor to end" "$(grep -E 'command not found|over its time limit' "$work/results.local")" ""
check_same "only these are meant to end with another status than 0" \
    "$(awk '/^== / { tool = $2 } /^-- status / && $3 { print tool, $3 }' "$work/results.local" | tr '\n' ';')" "cat 1;shell 1;"
done_testing
