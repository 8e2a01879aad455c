# A Debian 12 of its own under systemd, in a container without a network
# (systemd-nspawn), for the scripts of this folder; sourced after common.sh.
need_root_and mmdebstrap systemd-container
root=$work/root
nspawn=

end_container() {
	[ -n "$nspawn" ] && kill -0 "$nspawn" 2>/dev/null || return 0
	kill -TERM "$nspawn"
	wait "$nspawn" 2>/dev/null || true
}
on_exit=end_container

# Polls COMMAND... for a minute.
soon() {
	tries=0
	until "$@" >"$work/try" 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 120 ] || {
			cat "$work/try"
			return 1
		}
		sleep 0.5
	done
}

# Of the packages in $packages, as far as they are Debian's.
dependencies() {
	for deb in "$packages"/holdfast-*.deb; do
		dpkg-deb -f "$deb" Depends
	done | tr ',' '\n' | sed -e 's/^ *//' -e 's/[ |(].*//' |
		grep -v -e '^holdfast' -e '^$' | sort -u | paste -sd, -
}

# make_root NAME,...: with these packages and what ours depend on; ours lie in
# /packages, and /test is for the test.  HOLDFAST_SYSTEM_ROOT=FOLDER keeps the
# unpacked Debian as a file there for the next time.
make_root() {
	tar=${HOLDFAST_SYSTEM_ROOT:-$work}/root-$1.tar
	[ -s "$tar" ] || mmdebstrap --quiet --variant=minbase \
	    --include="systemd,systemd-sysv,dbus,procps,$1,$(dependencies)" \
	    bookworm "$tar"
	mkdir -p "$root"
	tar -xf "$tar" -C "$root" --exclude='./dev/*'
	echo holdfast-test >"$root/etc/hostname"
	mkdir -p "$root/packages" "$root/test"
	cp "$packages"/holdfast-*.deb "$root/packages"
}

# Runs a command in the container.
inside() {
	leader=$(ps -o pid= --ppid "$nspawn" | head -n 1 | tr -d ' ')
	nsenter -t "$leader" -m -u -i -n -p -C -- env -i TERM=dumb HOME=/root \
	    PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

booted() {
	case $(inside systemctl is-system-running 2>/dev/null) in
	running | degraded) return 0 ;;
	*) return 1 ;;
	esac
}

boot() {
	systemd-nspawn -q -D "$root" --register=no --keep-unit \
	    --private-network --rlimit=RLIMIT_NOFILE=65536 \
	    --rlimit=RLIMIT_MEMLOCK=8388608 -b >"$work/console" 2>&1 \
	    </dev/null &
	nspawn=$!
	soon booted
}
