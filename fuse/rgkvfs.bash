# bash completion for rgkvfs: what its --help names, what mount(8) knows besides, and directories
_rgkvfs() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} begun='' last words
    COMPREPLY=()
    if [ "$prev" = -o ]; then
        words=$("${COMP_WORDS[0]}" --help 2>/dev/null | grep -oE -- '-o [a-z_]+(=[a-z]*)?' | cut -c 4-)
        last=${cur##*,}
        begun=${cur%"$last"}
        mapfile -t COMPREPLY < <(compgen -P "$begun" -W "$words nosuid nodev noexec noatime _netdev nofail noauto" -- "$last")
        [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "-o -f -d --help --version" -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    fi
}
complete -o filenames -F _rgkvfs rgkvfs
