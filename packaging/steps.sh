# Progress for the project's scripts, to be sourced: one line per step, everything else in a log.
#
#   steps_in DIRECTORY          where the logs go: DIRECTORY/<step>.log
#   step NAME COMMAND...        runs COMMAND, tells how it went and how long it took
#   note TEXT                   called by COMMAND: what stands behind the step's name
#
# COMMAND runs in a subshell with `set -e`; exit status 77 means "nothing to do here". On failure
# the end of the log is printed; `step_status` holds the status. Never write `step ... || ...` or
# `if step ...`: there bash ignores `set -e`, in the subshell too.

STEP_SKIPPED=77
STEP_TAIL_LINES=${STEP_TAIL_LINES:-40}

if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
    step_live=yes style_dim=$'\e[2m' style_bad=$'\e[31m' style_off=$'\e[0m'
else
    step_live='' style_dim='' style_bad='' style_off=''
fi

steps_in()
{
    steps_dir=$1
    mkdir -p "$steps_dir"
}

note()
{
    printf '%s' "$*" >"$step_note"
}

# Shows the seconds and the log's last line until it is ended; terminals only.
step_ticker()
{
    local name=$1 log=$2 start=$SECONDS last width
    while sleep 0.5; do
        width=$((${COLUMNS:-$(tput cols 2>/dev/null || echo 80)} - 28))
        last=$(tail -c 400 "$log" 2>/dev/null | tr '\r\t' '\n ' | grep -v '^ *$' | tail -n 1)
        last=$(printf '%s' "$last" | tr -cd '[:print:]')
        printf '\r\e[K  %-12s %4d s  %s%s%s' "$name" $((SECONDS - start)) \
            "$style_dim" "${last:0:$((width > 0 ? width : 1))}" "$style_off"
    done
}

step()
{
    local name=$1 log=$steps_dir/$1.log start=$SECONDS ticker=''
    shift
    step_note=$steps_dir/$name.note
    rm -f "$step_note"
    : >"$log"
    if [ -n "$step_live" ]; then
        step_ticker "$name" "$log" &
        ticker=$!
    fi
    (
        set -e
        "$@"
    ) >>"$log" 2>&1 </dev/null
    step_status=$?
    if [ -n "$ticker" ]; then
        kill "$ticker" 2>/dev/null
        wait "$ticker" 2>/dev/null
        printf '\r\e[K'
    fi
    step_tell "$name" "$step_status" $((SECONDS - start)) "$log"
    [ "$step_status" -ne "$STEP_SKIPPED" ] || step_status=0
}

step_tell()
{
    local name=$1 status=$2 seconds=$3 log=$4 text=''
    [ ! -f "$step_note" ] || text=$(cat "$step_note")
    rm -f "$step_note"
    case $status in
    0) printf '  %-12s %4d s  %s%s%s\n' "$name" "$seconds" "$style_dim" "$text" "$style_off" ;;
    "$STEP_SKIPPED") printf '  %-12s      -  skipped: %s\n' "$name" "$text" ;;
    *)
        printf '  %s%-12s %4d s  FAILED%s%s\n' "$style_bad" "$name" "$seconds" \
            "$style_off" "${text:+: $text}"
        tail -n "$STEP_TAIL_LINES" "$log" | sed 's/^/      /'
        printf '      %s(all of it: %s)%s\n' "$style_dim" "${log#"$PWD"/}" "$style_off"
        ;;
    esac
}
