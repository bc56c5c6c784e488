#!/usr/bin/env bash
# Hosts on one machine: network namespaces on a bridge, each with a rate limit on its own end. Needs root and iproute2; no part of the tests.
#   two-hosts.sh up 2 | rate 100mbit | rate none | sent h0 | run HOST COMMAND... | down
# mpirun reaches the hosts by it:
#   two-hosts.sh run h0 mpirun -np 2 --host h0,h1 --mca plm_rsh_agent "$PWD/two-hosts.sh run" --mca btl tcp,self --bind-to none rbeml finetune ...
set -euo pipefail

hosts() { ip netns list | sed -n 's/^\(h[0-9]*\)\( .*\)\{0,1\}$/\1/p' | sort; }

up() { # number of hosts
  ip netns add sw
  ip -n sw link add br0 type bridge
  ip -n sw link set br0 up
  for ((i = 0; i < $1; i++)); do
    ip netns add "h$i"
    ip link add "v$i" netns "h$i" type veth peer name "p$i" netns sw
    ip -n sw link set "p$i" master br0
    ip -n sw link set "p$i" up
    ip -n "h$i" link set "v$i" name eth0
    ip -n "h$i" addr add "10.77.0.1$i/24" dev eth0
    ip -n "h$i" link set eth0 up
    ip -n "h$i" link set lo up
    mkdir -p "/etc/netns/h$i"
    { echo "127.0.0.1 localhost"; for ((j = 0; j < $1; j++)); do echo "10.77.0.1$j h$j"; done; } >"/etc/netns/h$i/hosts"
  done
}

rate() { # such as 100mbit, or none
  for host in $(hosts); do
    ip netns exec "$host" tc qdisc del dev eth0 root 2>/dev/null || true
    [ "$1" = none ] || ip netns exec "$host" tc qdisc add dev eth0 root tbf rate "$1" burst 64k latency 100ms
  done
}

sent() { ip netns exec "$1" cat /sys/class/net/eth0/statistics/tx_bytes; } # host

run() { # host, command
  local host=$1
  shift
  exec ip netns exec "$host" unshare -u /bin/bash -c "hostname $host; $*"
}

down() {
  for host in $(hosts) sw; do
    ip netns del "$host"
    rm -rf "/etc/netns/$host"
  done
}

"$@"
