# etc/: default configuration.  The samples are kept equal to the programs'
# tables by tests/etc/test_samples.
holdfastconfdir = $(sysconfdir)/holdfast
CONF_SAMPLES = server.conf validator.conf
EXTRA_DIST += etc/server.conf etc/validator.conf etc/holdfast.sysusers

# A configuration that is there already is the operator's.
install-data-local:
	$(MKDIR_P) "$(DESTDIR)$(holdfastconfdir)"
	for f in $(CONF_SAMPLES); do \
	    test -e "$(DESTDIR)$(holdfastconfdir)/$$f" || \
	    $(INSTALL_DATA) $(srcdir)/etc/$$f "$(DESTDIR)$(holdfastconfdir)" || \
	    exit 1; \
	done
uninstall-local:
	for f in $(CONF_SAMPLES); do \
	    ! cmp -s $(srcdir)/etc/$$f "$(DESTDIR)$(holdfastconfdir)/$$f" || \
	    rm -f "$(DESTDIR)$(holdfastconfdir)/$$f"; \
	done
