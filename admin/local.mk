# admin/: holdfast-admin, the operator's command.
noinst_LIBRARIES += libadmin.a
libadmin_a_CPPFLAGS = $(AM_CPPFLAGS)
libadmin_a_SOURCES = \
	admin/admin.h admin/commands.def admin/options.def \
	admin/ctl.c admin/ctl.h admin/show.c admin/show.h \
	admin/adopt.c admin/adopt.h admin/layout.c admin/layout.h \
	admin/nested.c admin/nested.h \
	admin/cmd_audit.c admin/cmd_datastore.c admin/cmd_gc.c admin/cmd_session.c \
	admin/cmd_setup.c \
	admin/cmd_status.c \
	admin/cmd_metrics.c admin/metrics.h admin/metrics_http.c \
	admin/metrics_text.c \
	admin/cmd_user.c admin/cmd_token.c admin/cmd_acl.c \
	admin/cmd_transfer.c admin/cmd_verify.c admin/expire.c admin/expire.h

sbin_PROGRAMS += holdfast-admin
holdfast_admin_SOURCES = admin/main.c
holdfast_admin_LDADD = libadmin.a libformat.a $(COMMON_LIBS)
