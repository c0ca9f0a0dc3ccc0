# bash completion for rgkvd: what its --help names, and directories after --data
_rgkvd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words
    COMPREPLY=()
    if [ "$prev" = --data ]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    else
        words=$("${COMP_WORDS[0]}" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u)
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    fi
}
complete -o filenames -F _rgkvd rgkvd
