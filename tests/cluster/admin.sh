#!/bin/bash
# Administrators who err, who are many, who are not answered: each command is answered with an errno and a sentence, each
# that succeeds makes one config, each that fails none; config numbers have no gaps. Leaving the last group loses nothing.
# Three controllers and two data nodes behind a network that can lose answers (B13, B32; PROTOCOL P21, P28).
. "${top_srcdir:-.}/tests/cluster/scenario-lib.sh"
. "${top_srcdir:-.}/tests/cluster/lib.sh" || exit 1
. "${top_srcdir:-.}/tests/cluster/proxy-lib.sh" || exit 1
limit 120
proxied_start 5 3 10
mount_start a hard || exit 1
c=$work/a/.ctrl

# refused ERRNO SENTENCE FILE WORDS: the errno, the sentence in .ctrl/error, and no config.
refused() {
    local before
    before=$(config_num)
    check_errno "$1" "$4 > $3" bash -c "echo '$4' > '$c/$3'"
    check "the sentence of \"$4 > $3\": $(tail -n 1 "$c/error")" grep -q " $1 $2" <(tail -n 1 "$c/error")
    check_same "the number after \"$4 > $3\"" "$(config_num)" "$before"
}
done_is() { check_same "the number after $1" "$(config_num)" "$2"; }

# ---- what cannot be done ----

refused ENOENT "group 100 is not in the cluster" leave 100
refused ENOENT "group 100 is not in the cluster" move "0 100"
check_same "nothing is settled wrongly" "$(timeout 20 cat "$c/settled")" ok
admin join "100 ${node_addr[4]}" || fail "join 100"
done_is "the first join" 1
settled a
keys_choose 1
keys_put
refused EEXIST "group 100 is in the cluster already" join "100 ${node_addr[4]}"
refused EEXIST "group 100 is in the cluster already" join "100 ${node_addr[5]}"
refused EINVAL "." join "0 ${node_addr[5]}"
refused EINVAL "." join "7 ${node_addr[5]} ${node_addr[5]}"
refused EINVAL "." join "7 nowhere"
refused EINVAL "." join "7 host:0"
refused EINVAL "." join "seven ${node_addr[5]}"
refused EINVAL "." leave "100 100"
refused EINVAL "." leave "all"
refused ENOENT "group 999 is not in the cluster" leave "100 999"
refused ENOENT "group 77 is not in the cluster" move "3 77"
refused ERANGE "shard 10 is not between 0 and 9" move "10 100"
refused ERANGE "." move "4294967296 100"
refused EINVAL "." move "-1 100"
refused EINVAL "." move "3 100 7"
check_fails "a join of two lines, one of them known" admin join "7 h:1" "100 ${node_addr[4]}"
check_fails "and the other was not joined either" grep -q "^group 7 " "$c/config"
done_is "all of these" 1
keys_check "after all of these"

# ---- what can be done ----

# Servers that nobody reaches: the command is done, the shards wait where they are, and go where they can.
admin join "200 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3" || fail "join of unreachable servers"
done_is "join of unreachable servers" 2
keys_check_append "with shards wanted by nobody that lives"
unreachable_is_told() { grep -q "to=200 .*why=\"..*\"" "$c/moves"; }
check "moves says what it waits for" wait_until 10 unreachable_is_told
admin leave 200 || fail "leave 200"
settled a
done_is "leave of them" 3

# A node may serve in several groups.
admin join "102 ${node_addr[4]}" || fail "a member of another group"
settled a
check_same "half of the shards each" "$(shards_of 100) $(shards_of 102)" "5 5"
keys_check_append "on two groups of the same node"
admin leave 102 || fail "leave 102"
settled a
done_is "join and leave of 102" 5

# ---- the last group leaves ----

admin leave 100 || fail "leave of the last group"
done_is "leave of the last group" 6
check_same "nobody wants the shards" "$(config_shards | cut -d' ' -f3 | sort -u)" 0
check_same "it is settled" "$(timeout 20 cat "$c/settled")" ok
keys_check_append "parked"
node_kill 4
node_again 4
keys_check_append "parked, after a crash of where they are"
admin join "101 ${node_addr[5]}" || fail "join after the last leave"
settled a
check_same "all shards moved" "$(shards_of 101)" 10
keys_check_append "moved at last"
node_kill 4
keys_check_append "from the new group alone"
done_is "these" 7

# ---- many, and not answered ----

# Ten at once, each with three commands, over two mounts, while most answers of the controller are lost: each is asked
# again, and executed once.
mount_start b hard || exit 1
net_quiet faults reply_lost=40
one_of_ten() {
    local gid=$1 ctrl=$2
    cat <<<"$gid host$gid:1" >"$ctrl/join" && cat <<<"$((gid + 100)) host$gid:2" >"$ctrl/join" && echo "$((gid + 100))" >"$ctrl/leave"
}
pids=()
for i in 0 1 2 3 4 5 6 7 8 9; do
    one_of_ten $((300 + i)) "$work/$([ $((i % 2)) = 0 ] && echo a || echo b)/.ctrl" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || fail "one of ten: $(tail -n 1 "$c/error")"; done
net_quiet faults
check "answers were lost" test "$(net_stat replies_lost)" -gt 10
done_is "thirty commands of ten administrators, most of them delivered more than once" 37
check "balanced" config_is_balanced 101 300 301 302 303 304 305 306 307 308 309
numbers() { ls "$c/configs" | sort -n | xargs; }
check_same "no number is missing" "$(numbers)" "$(seq 0 37 | xargs)"
for i in $(seq 37); do check_same "config $i" "$(sed -n 's/^num //p' "$c/configs/$i")" "$i"; done
keys_check "in the end"
done_testing
