#!/bin/sh
# A SLURM controller and one node with two GPUs that do not exist, on the loopback of a Debian machine, to try
# deployments/slurm/pools.yaml without a cluster. As root: apt-get install slurmctld slurmd slurm-client munge, then
#   sh deployments/slurm/one-node.sh FOLDER      prints the processes it started; `export SLURM_CONF=FOLDER/slurm.conf`
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
mkdir -p "$folder/state" "$folder/spool" /run/munge
chown munge: /run/munge
host=$(hostname)
for number in 0 1; do
  [ -e "$folder/gpu$number" ] || mknod "$folder/gpu$number" c 195 $((200 + number))
done
echo "NodeName=$host Name=gpu File=$folder/gpu[0-1]" >"$folder/gres.conf"
cat >"$folder/slurm.conf" <<END
ClusterName=box
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) Gres=gpu:2 State=UNKNOWN
PartitionName=gpu Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
END
export SLURM_CONF="$folder/slurm.conf"
pgrep -x munged >/dev/null || runuser -u munge -- /usr/sbin/munged
/usr/sbin/slurmctld -f "$SLURM_CONF"
/usr/sbin/slurmd -f "$SLURM_CONF"
sleep 2
echo "slurmctld $(cat "$folder/slurmctld.pid"), slurmd $(cat "$folder/slurmd.pid"), munged $(pgrep -x munged)"
sinfo -o '%n %G %T'
