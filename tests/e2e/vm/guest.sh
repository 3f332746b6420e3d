#!/bin/sh
# What the script of the test machine, /vm/main, is made of (machine.py writes it).  On the
# console go lines that begin with "@vm", and what programs said, each line behind its
# program's name and "| ".

out=/run/vm # what each program says, in a file of its name
mkdir -p $out /run/here

say() { printf '@vm %s\n' "$*"; }

# broken WHAT: the machine is no use
broken() {
    say "broken: $1"
    show
    exit 1
}

# again COMMAND...: until it succeeds, or there is no more hope (after 30 s of this machine's
# time, most of which it sleeps: each look is work)
again() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ $tries -lt 40 ] || return 1
        if [ $tries -lt 10 ]; then sleep 0.1; else sleep 1; fi
    done
}

# has_said NAME TEXT
has_said() {
    case $(cat "$out/$1") in *"$2"*) return 0 ;; esac
    return 1
}

# await NAME TEXT: until the program has said it
await() { again has_said "$@"; }

# start NAME READY COMMAND: in the background; it is ready when it says READY
start() {
    : >"$out/$1"
    sh -c "exec $3" >>"$out/$1" 2>&1 &
    echo $! >"/run/$1.pid"
    [ -z "$2" ] || await "$1" "$2" || broken "$1 is not ready"
}

# stop NAME...
stop() {
    for name in "$@"; do
        read -r pid <"/run/$name.pid"
        kill "$pid" 2>/dev/null
        wait "$pid"
    done
}

# show: what all programs have said, once
show() {
    for file in "$out"/*; do
        [ -s "$file" ] || continue
        sed "s/^/${file##*/}| /;\$a\\" "$file"
        : >"$file"
    done
}

# ---- the world: what is there in every scenario ----

# nsm: /dev/nsm, by the simulator; what goes wrong is in /run/faults
nsm() {
    : >/run/faults
    start simulator nsm_sim.ready "vouchsafe-nsm-sim --socket /run/nsm.sock --root-dir /run/nitro \
        --image /vm/image"
    [ -c /dev/nsm ] || device # else the machine has one, and there will be no release
}

device() {
    start device '' 'vouchsafe-nsm-cuse nsm /run/nsm.sock /run/faults'
    again [ -c /dev/nsm ] || broken 'no /dev/nsm'
    chmod 0666 /dev/nsm # as the kernel's own driver has it
}

# parent: a verifier that grants SECRET to the image, and the relay to it
parent() {
    export VOUCHSAFE_STATE=/run/state
    {
        vouchsafe init --person ann --development --root /run/nitro/root.pem
        cp /run/state/issuer.pem /run/nitro/root.pem /run/
    } >$out/init 2>&1 || broken 'no store'
    start verifier serve.ready 'vouchsafe serve --config /dev/null --listen 127.0.0.1:8443 \
        --rate-per-s 0 --connections-per-address 0'
    {
        vouchsafe-nsm-sim --image /vm/image --print-measurements |
            vouchsafe measurement add web@1 --from - &&
            vouchsafe secret put web/messages </vm/secret &&
            vouchsafe grant add web/messages --image web
    } >$out/init 2>&1 || broken 'no grant'
    start relay relay.ready 'vouchsafe-vsock-relay --listen vsock:8443 --to 127.0.0.1:8443 \
        --log-port 5000'
}

# ---- a scenario ----

# begin NAME: in a folder of its own
begin() {
    say "begin $1"
    cd "/vm/$1" || broken "no folder for $1"
    [ -c /dev/nsm ] || device # the scenario before may have ended it
}

# enclave COMMAND: where there is no network but vsock
enclave() {
    timeout 60 unshare --net sh -c "$1" >$out/enclave 2>&1
    status=$?
}

# end NAME: with the machine's age, from which the scenario's length can be read
end() {
    show
    read -r age idle </proc/uptime
    say "end $1 status=$status at ${age}s, ${idle}s of them idle"
}
