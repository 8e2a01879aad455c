# What the tests of the packages share; sourced.  Makes a user and a datastore,
# which go away at the end, and what a client needs to use them.
work=$(mktemp -d "${AUTOPKGTEST_TMP:-/tmp}/holdfast-test.XXXXXX")
store=test$$
folder=/srv/holdfast-$store
user=$store@pbs

clean_up() {
	holdfast-admin user remove "$user" || true
	holdfast-admin datastore remove "$store" || true
	rm -rf "$work" "$folder"
}
trap clean_up EXIT

fail() {
	echo "FAILED: $*"
	exit 1
}

echo secret-$store | holdfast-admin user create "$user"
holdfast-admin datastore create "$store" "$folder"
holdfast-admin acl update "/datastore/$store" DatastoreAdmin --auth-id "$user"

export PBS_REPOSITORY="$user@127.0.0.1:$store" PBS_PASSWORD="secret-$store"
PBS_FINGERPRINT=$(holdfast-admin cert info | sed -n 's/^fingerprint *//p')
export PBS_FINGERPRINT

back_up() {
	sleep 1 # one backup a second and group
	holdfast backup disk.img:"$work/disk" --no-progress --backup-id t
}

comes_back() {
	rm -f "$work/restored"
	holdfast restore host/t disk.img "$work/restored" --no-progress
	cmp "$work/disk" "$work/restored"
}
