# tests of etc
dist_check_SCRIPTS += tests/etc/test_units.sh
check_PROGRAMS += tests/etc/test_samples
tests_etc_test_samples_SOURCES = tests/etc/test_samples.c
tests_etc_test_samples_CPPFLAGS = $(TEST_CPPFLAGS)
tests_etc_test_samples_LDADD = libserverconf.a libvalidator.a libformat.a \
	$(COMMON_LIBS) $(TEST_LIBS)
