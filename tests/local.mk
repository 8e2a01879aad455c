# Unit tests (Criterion), one program per source file, in the folder that
# mirrors the source's.  Each folder's list is in its own local.mk.
TEST_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
TEST_LIBS = $(CRITERION_LIBS)

if HAVE_CRITERION
include tests/common/local.mk
include tests/format/local.mk
include tests/server/local.mk
include tests/auth/local.mk
include tests/validator/local.mk
include tests/store/local.mk
include tests/jobs/local.mk
include tests/client/local.mk
include tests/admin/local.mk
include tests/etc/local.mk
endif
include tests/docs/local.mk
include tests/fuzz/local.mk

dist_check_SCRIPTS += tests/check-layers.sh
dist_noinst_SCRIPTS += autogen.sh quickstart tests/check-format.sh tests/instance
dist_noinst_SCRIPTS += tests/packages.sh tests/system/autopkgtest.sh \
	tests/system/clean-build.sh tests/system/piuparts.sh \
	tests/system/systemd.sh
EXTRA_DIST += tests/system/common.sh tests/system/container.sh
EXTRA_DIST += tests/setup.sh tests/quickstart.py tests/lsan.supp .ci/run
include tests/process/local.mk

TESTS = $(check_PROGRAMS) $(dist_check_SCRIPTS)
TEST_EXTENSIONS = .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(SHELL)
AM_TESTS_ENVIRONMENT = CRITERION_OUTPUTS=tap:-; export CRITERION_OUTPUTS; \
	LSAN_OPTIONS=suppressions=$(abs_top_srcdir)/tests/lsan.supp:print_suppressions=0; \
	export LSAN_OPTIONS; \
	top_srcdir=$(abs_top_srcdir); export top_srcdir; \
	top_builddir=$(abs_top_builddir); export top_builddir;

check-layers:
	top_srcdir=$(abs_top_srcdir) $(SHELL) $(srcdir)/tests/check-layers.sh
check-format:
	top_srcdir=$(abs_top_srcdir) $(SHELL) $(srcdir)/tests/check-format.sh

# The unit tests under AddressSanitizer and UBSan, in a build of their own.
# Reports go to files, since a sanitizer in a test's child is easily missed.
# Then those process tests that see every program and take little time.  A
# report that only warns of coroutines (server/coro.c) is none.
ASAN_PROCESS_TESTS = test_client.py test_metrics.py test_sessions.py \
	test_validator_calls.py
check-asan:
	$(MKDIR_P) asan
	cd asan && { test -f Makefile || \
	    $(abs_top_srcdir)/configure --quiet --enable-sanitizers; }
	rm -f asan/san.*
	cd asan && export ASAN_OPTIONS=log_path=$(abs_top_builddir)/asan/san \
	    UBSAN_OPTIONS=log_path=$(abs_top_builddir)/asan/san && \
	    $(MAKE) all && $(MAKE) check
	ASAN_OPTIONS=log_path=$(abs_top_builddir)/asan/san \
	    UBSAN_OPTIONS=log_path=$(abs_top_builddir)/asan/san \
	    HOLDFAST_BUILD=$(abs_top_builddir)/asan PYTHONDONTWRITEBYTECODE=1 \
	    /usr/bin/python3 -m pytest -q -n 3 --dist loadfile \
	    -p no:cacheprovider -c $(abs_srcdir)/tests/process/pytest.ini \
	    $(ASAN_PROCESS_TESTS:%=$(abs_srcdir)/tests/process/%)
	@for f in asan/san.*; do test ! -f $$f || \
	    grep -q 'ERROR: \|runtime error: ' $$f || rm $$f; done
	@if ls asan/san.* >/dev/null 2>&1; then cat asan/san.*; exit 1; fi
# The script is named like the target, so it cannot be in a list.  From a
# checkout, a tarball that lacks one of its files is refused.
dist-hook:
	cp -p $(srcdir)/check $(distdir)/check
	@test ! -e $(srcdir)/.git || git -C $(srcdir) ls-files ':!.git*' | \
	    { rc=0; while read -r f; do test -e "$(distdir)/$$f" || \
	    { echo "$$f is in no list of a local.mk" >&2; rc=1; }; done; \
	    exit $$rc; }
clean-local:
	rm -rf asan fuzz
.PHONY: check-layers check-format check-asan
