# etc/: default configuration.  The samples are kept equal to the programs'
# tables by tests/etc/test_samples.
holdfastconfdir = $(sysconfdir)/holdfast
CONF_SAMPLES = server.conf validator.conf
EXTRA_DIST += etc/server.conf etc/validator.conf etc/holdfast.sysusers \
	etc/holdfast.tmpfiles

# systemd's units, users and folders.
UNITS = etc/systemd/holdfast-auth.service \
	etc/systemd/holdfast-metrics@.service \
	etc/systemd/holdfast-server.service \
	etc/systemd/holdfast-validator.service
nodist_systemdsystemunit_DATA = $(UNITS)
dist_systemdsystemunit_DATA = \
	etc/systemd/holdfast-auth.socket \
	etc/systemd/holdfast-auth-admin.socket \
	etc/systemd/holdfast-metrics.socket \
	etc/systemd/holdfast-server.socket \
	etc/systemd/holdfast-validator.socket \
	etc/systemd/holdfast-validator-admin.socket
# For Grafana: Dashboards, New, Import.
examplesdir = $(docdir)/examples
dist_examples_DATA = etc/grafana-dashboard.json

UNITS_IN = etc/systemd/holdfast-auth.service.in \
	etc/systemd/holdfast-metrics@.service.in \
	etc/systemd/holdfast-server.service.in \
	etc/systemd/holdfast-validator.service.in
EXTRA_DIST += $(UNITS_IN)
CLEANFILES += $(UNITS)

$(UNITS): $(UNITS_IN) Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed -e 's,@sbindir\@,$(sbindir),g' \
	    -e 's,@pkglibexecdir\@,$(pkglibexecdir),g' \
	    -e 's,@sysconfdir\@,$(sysconfdir),g' \
	    $(srcdir)/$@.in >$@.tmp && mv $@.tmp $@

# A configuration that is there already is the operator's.
install-data-local:
	$(MKDIR_P) "$(DESTDIR)$(holdfastconfdir)"
	for f in $(CONF_SAMPLES); do \
	    test -e "$(DESTDIR)$(holdfastconfdir)/$$f" || \
	    $(INSTALL_DATA) $(srcdir)/etc/$$f "$(DESTDIR)$(holdfastconfdir)" || \
	    exit 1; \
	done
	$(MKDIR_P) "$(DESTDIR)$(prefix)/lib/sysusers.d" \
	    "$(DESTDIR)$(prefix)/lib/tmpfiles.d"
	$(INSTALL_DATA) $(srcdir)/etc/holdfast.sysusers \
	    "$(DESTDIR)$(prefix)/lib/sysusers.d/holdfast.conf"
	$(INSTALL_DATA) $(srcdir)/etc/holdfast.tmpfiles \
	    "$(DESTDIR)$(prefix)/lib/tmpfiles.d/holdfast.conf"
uninstall-local:
	rm -f "$(DESTDIR)$(prefix)/lib/sysusers.d/holdfast.conf" \
	    "$(DESTDIR)$(prefix)/lib/tmpfiles.d/holdfast.conf"
	for f in $(CONF_SAMPLES); do \
	    ! cmp -s $(srcdir)/etc/$$f "$(DESTDIR)$(holdfastconfdir)/$$f" || \
	    rm -f "$(DESTDIR)$(holdfastconfdir)/$$f"; \
	done
