#!/usr/bin/env bash
# A SLURM cluster of one node on the loopback, for tests: cluster.sh start FOLDER | stop FOLDER
# Everything it writes is in FOLDER (a short path: it holds sockets), but for two links in /etc/slurm: SLURM_CONF would not do, as the
# executor plugin takes it from its jobs. Exit status 77 and one line of reason where no cluster can be had.
set -euo pipefail
action=$1 folder=$2
SETTINGS=/etc/slurm
DAEMONS=(slurmctld slurmd munged)

cannot() {
    echo "$1"
    exit 77
}

installed() {
    command -v slurmctld slurmd munged sbatch > /dev/null
}

# RUNLEVEL=1 keeps the packages from starting daemons of their own.
install_slurm() {
    command -v apt-get > /dev/null || cannot "SLURM is not installed, and there is no apt-get to install it"
    export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install --yes --no-install-recommends slurm-wlm munge; } > "$folder/apt.log" 2>&1 \
        || cannot "SLURM could not be installed: $(grep --max-count=1 -E '^(E|Err)' "$folder/apt.log" || echo 'apt-get failed')"
}

running() {
    local file=$folder/$1.pid
    [[ -s $file ]] && kill -0 "$(< "$file")" 2> /dev/null
}

# Two cores (or one) and most of the memory, in a partition for each kind of job; the GPU is a number only.
configure() {
    local found cpus memory
    found=$(slurmd -C | head -n 1)
    cpus=$(sed -E 's/.* CPUs=([0-9]+).*/\1/' <<< "$found")
    memory=$(sed -E 's/.* RealMemory=([0-9]+).*/\1/' <<< "$found")
    cat > "$folder/slurm.conf" << CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
MinJobAge=86400
KillWait=5
GresTypes=gpu
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$((cpus < 2 ? cpus : 2)) RealMemory=$((memory * 9 / 10)) Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
CONF
    echo "Name=gpu File=/dev/null" > "$folder/gres.conf"
    install -d "$SETTINGS"
    ln -sf "$folder/slurm.conf" "$folder/gres.conf" "$SETTINGS"
}

start() {
    [[ $(id -u) == 0 ]] || cannot "a SLURM cluster for tests needs root"
    [[ ! -e $SETTINGS/slurm.conf ]] || cannot "$(realpath $SETTINGS/slurm.conf) says that SLURM is set up here already"
    install -d -m 0755 "$folder" "$folder/state" "$folder/spool"
    installed || install_slurm
    configure
    head -c 1024 /dev/urandom > "$folder/munge.key"
    chmod 0400 "$folder/munge.key"
    munged --key-file "$folder/munge.key" --socket "$folder/munge.socket" --pid-file "$folder/munged.pid" \
        --log-file "$folder/munged.log" --seed-file "$folder/munge.seed"
    slurmctld
    slurmd
    for _ in {1..100}; do
        [[ $(sinfo --noheader --partition cpu --format %t 2> /dev/null) == idle ]] && return
        sleep 0.1
    done
    echo "the node did not become idle:"
    tail -n 5 "$folder"/slurm*.log
    stop
    exit 1
}

# In this order, so that no job outlives its slurmd: cancel, wait for the node to be empty, end the daemons.
stop() {
    if running slurmctld; then
        scancel --user root || true
        for _ in {1..100}; do
            [[ -n $(squeue --noheader --states PENDING,RUNNING,COMPLETING 2> /dev/null) ]] || break
            sleep 0.1
        done
    fi
    for daemon in "${DAEMONS[@]}"; do
        running "$daemon" && kill "$(< "$folder/$daemon.pid")"
    done
    for daemon in "${DAEMONS[@]}"; do
        for _ in {1..100}; do
            running "$daemon" || continue 2
            sleep 0.1
        done
        kill -KILL "$(< "$folder/$daemon.pid")"
    done
    for file in slurm.conf gres.conf; do
        [[ ! $SETTINGS/$file -ef $folder/$file ]] || rm "$SETTINGS/$file"
    done
}

"$action"
