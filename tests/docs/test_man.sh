#!/bin/sh
# Every program and configuration file has a manual page with examples, which
# names each option and command of the program's help, and no other; shell
# completion knows them too.  TAP.
set -u
build=${top_builddir:-.}
src=${top_srcdir:-.}
n=0
status=0

# check WHAT COMMAND...: not ok, with its output, if there is any
check() {
	what=$1
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1) && [ -z "$out" ]; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		echo "$out" | sed 's/^/# /'
		status=1
	fi
}

# The text of a page, without fonts.
page() {
	sed -e 's/\\f[BIR]//g' -e 's/\\-/-/g' -e 's/\\&//g' "$build/docs/man/$1"
}

page_of() {
	case $1 in
	holdfast) echo holdfast.1 ;;
	*) echo "$1.8" ;;
	esac
}

skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

programs() {
	for f in "$build"/holdfast "$build"/holdfast-*; do
		[ ! -x "$f" ] || [ -d "$f" ] || basename "$f"
	done
}

has_page() {
	[ -s "$build/docs/man/$(page_of "$1")" ] || echo "no page for $1"
}

# Option letters of "usage: NAME [-dfhV] [-c FILE]" against ".TP" entries.
daemon_options() {
	help=$("$build/$1" --help | sed -n '1s/[^[]*//p' |
	    grep -o -e '-[A-Za-z]*' | grep -o '[A-Za-z]' | sort -u)
	man=$(page "$1.8" | sed -n 's/^-\([A-Za-z]\)\([ ,].*\)\{0,1\}$/\1/p' | sort -u)
	[ "$help" = "$man" ] || echo "help:" $help "page:" $man
	synopsis=$(page "$1.8" | sed -n '/^.SH SYNOPSIS/{n;p}' |
	    sed 's/[^[]*//' | grep -o -e '-[A-Za-z]*' | grep -o '[A-Za-z]' |
	    sort -u)
	[ "$help" = "$synopsis" ] || echo "help:" $help "synopsis:" $synopsis
}

# Each says what it is and which version, and complains of what it does not know.
basic_options() {
	"$build/$1" --help | grep -q -w -e "$1" || echo "no --help"
	[ "$("$build/$1" --version)" = "$("$build/$1" -V)" ] ||
		echo "no --version"
	"$build/$1" --version | grep -q -x "$1 [0-9.]*" || echo "no version"
	[ "$("$build/$1" --help)" = "$("$build/$1" -h)" ] || echo "no -h"
	"$build/$1" --unknown >"$tmp/out" 2>"$tmp/err"
	[ $? = 2 ] && [ ! -s "$tmp/out" ] && [ -s "$tmp/err" ] ||
		echo "--unknown is no error"
}

commands_of_help() {
	"$build/$1" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\)/\1/p' |
	    sed -e 's/^\(.\{23\}\) .*/\1/' -e 's/ *$//'
}

options_of_help() {
	{
		"$build/$1" --help
		commands_of_help "$1" | while read -r c; do
			# shellcheck disable=SC2086 # a command of several words
			"$build/$1" $c --help
		done
	} | sed -n 's/^ .* \{0,4\}\(--[a-z-]*\).*/\1/p' | sort -u
}

# "name arguments", the line after .TP
entries_of_page() {
	page "$(page_of "$1")" | awk -v section=".SH $2" '
	    /^\.SH/ { inside = $0 == section }
	    inside && entry { print }
	    { entry = $0 == ".TP" }'
}

command_names() {
	commands_of_help "$1" | sort >"$tmp/help"
	entries_of_page "$1" COMMANDS | sed 's/ *[A-Z[].*//; s/ *$//' |
	    sort >"$tmp/page"
	diff "$tmp/help" "$tmp/page"
}

option_names() {
	options_of_help "$1" >"$tmp/help"
	entries_of_page "$1" OPTIONS | grep -o -e '--[a-z-]*' |
	    sort -u >"$tmp/page"
	diff "$tmp/help" "$tmp/page"
}

conf_options() {
	sed -n 's/^#[[:space:]]*\([a-z-]*\) \("name" {\|=\).*/\1/p' \
	    "$src/etc/$1.conf" | sort >"$tmp/help"
	page "holdfast-$1.conf.5" | sed -n 's/^\.B \([a-z-]*\)$/\1/p' |
	    sort >"$tmp/page"
	diff "$tmp/help" "$tmp/page"
}

has_examples() {
	page "$1" | awk '/^\.SH EXAMPLES$/ { inside = 1; next }
	    /^\.SH/ { inside = 0 } inside && /^\.nf$/ { found = 1 }
	    END { exit !found }' || echo "none"
}

renders() {
	LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l \
	    -Tutf8 -Z "$build/docs/man/$1" 2>&1 >/dev/null
}

# complete PROGRAM WORDS...: what bash offers for the last word
complete() {
	bash -c '. "$0/docs/completion/$1"
		COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "_${1//-/_}"
		echo "${COMPREPLY[*]}"' "$build" "$@"
}

completes() {
	want=$1
	shift
	got=$(complete "$@")
	[ "$got" = "$want" ] || echo "got: $got, want: $want"
}

# zsh_offers WANT PROGRAM WORDS...: the same for zsh, which leaves it to others
# to choose those that begin with the last word.
zsh_offers() {
	want=$1
	shift
	# shellcheck disable=SC2016 # that shell's variables
	got=$(zsh -fc 'compadd() { shift; print -r -- $@ }
		_describe() { print -r -- ${${(P)2}%%:*} }
		_files() { print -r -- FILES }
		file=$1; shift
		words=("$@") CURRENT=$# PREFIX=${@[-1]}
		source $file' zsh "$build/docs/completion/_$1" "$@")
	[ "$got" = "$want" ] || echo "got: $got, want: $want"
}

tmp=$(mktemp -d "${TMPDIR:-/tmp}/test-man.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

for p in $(programs); do
	check "$p has a page" has_page "$p"
	check "$p: --help, --version" basic_options "$p"
done
for p in holdfast-server holdfast-auth holdfast-validator; do
	check "$p: options" daemon_options "$p"
done
for p in holdfast holdfast-admin; do
	check "$p: commands" command_names "$p"
	check "$p: options" option_names "$p"
done
for c in server validator; do
	check "$c.conf: options" conf_options "$c"
done
for f in "$build"/docs/man/*.[158]; do
	name=$(basename "$f")
	check "$name has examples" has_examples "$name"
	if command -v man >/dev/null; then
		check "$name renders" renders "$name"
	else
		skip "$name renders" "no man"
	fi
done
if command -v zsh >/dev/null; then
	check "zsh: a subcommand" zsh_offers "list log stop" \
	    holdfast-admin task ""
	check "zsh: a choice" zsh_offers "text json json-pretty" \
	    holdfast list --output-format json-
	check "zsh: an option" zsh_offers \
	    "--config-dir --run-dir --output-format --store --help" \
	    holdfast-admin lock list --
	check "zsh: behind options" zsh_offers "list log stop" \
	    holdfast-admin --run-dir /x task ""
	check "zsh: files where nothing else is known" zsh_offers FILES \
	    holdfast-admin import /etc/
else
	skip "zsh: completion" "no zsh"
fi
check "bash: a subcommand" completes list holdfast snapshot l
check "bash: a choice" completes json-pretty holdfast list --output-format json-
check "bash: an option" completes --overwrite holdfast --ns a restore --ov
check "bash: behind --option=value" completes passwd \
    holdfast-admin --run-dir = /x user pas
echo "1..$n"
exit $status
