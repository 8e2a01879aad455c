# etc/: default configuration.  The samples are kept equal to the programs'
# tables by tests/etc/test_samples.
holdfastconfdir = $(sysconfdir)/holdfast
dist_holdfastconf_DATA = etc/server.conf etc/validator.conf
EXTRA_DIST += etc/holdfast.sysusers
