# etc: default configuration
EXTRA_DIST += etc/holdfast.sysusers
