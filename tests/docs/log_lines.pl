# Prints every line that the code may log at level info or above, as
# docs/log.md has it: "subsystem: text", "..." for what varies.
use strict;
use warnings;

my $call = qr/\b(?:log_(?:info|warn|err)|fatal)(_e|_sys)?\(\s*/;
my $string = qr/"(?:[^"\\]|\\.)*"/;

sub resolve {
	my ($defines, $words) = @_;
	my $text = '';

	while ($words =~ /($string)|(\w+)/g) {
		my $part = defined $1 ? $1 : $defines->{$2} // '';
		$text .= substr($part, 1, -1) if length $part;
	}
	return $text;
}

for my $path (@ARGV) {
	open(my $f, '<', $path) or die "$path: $!\n";
	my $code = do { local $/; <$f> };
	my %defines = (PRIx64 => '"x"', PRIu64 => '"u"',
	    $code =~ /^#define (\w+) ($string)/mg);

	while ($code =~ /$call/g) {
		my $has_err = ($1 // '') eq '_e';
		next unless $code =~ /\G($string|\w+),\s*/gc;
		my $sub = $1;
		next if $has_err && $code !~ /\G[^",]+,\s*/gc;
		next unless $code =~ /\G((?:(?:$string|\w+)\s*)+)/gc;
		my $text = resolve(\%defines, $sub) . ': ' .
		    resolve(\%defines, $1);
		$text =~ s/%[-0-9.*]*(?:hh?|ll?|z|j)?[a-zA-Z]/.../g;
		$text =~ s/\\(.)/$1/g;
		print "$text\n";
	}
}
