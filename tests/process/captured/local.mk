# Captured builds of our programs for tests/process/test_captured.py: the real
# objects, with one function wrapped (captured.c).  Never installed; "make
# captured" puts them under the names that the others look for.
CAPTURED_CODE = tests/process/captured/captured.c \
	tests/process/captured/captured.h tests/process/captured/attacks.c \
	tests/process/captured/siblings.c
CAPTURED_LINK = $(AM_LDFLAGS) -Wl,--wrap=sandbox_enter
CAPTURED_ALL = \
	tests/process/captured/holdfast-server \
	tests/process/captured/holdfast-worker \
	tests/process/captured/holdfast-auth \
	tests/process/captured/holdfast-hasher \
	tests/process/captured/holdfast-validator \
	tests/process/captured/holdfast-checker \
	tests/process/captured/holdfast-job
EXTRA_PROGRAMS += $(CAPTURED_ALL)

tests_process_captured_holdfast_server_SOURCES = $(CAPTURED_CODE) \
	$(holdfast_server_SOURCES)
tests_process_captured_holdfast_server_LDADD = $(holdfast_server_LDADD)
tests_process_captured_holdfast_server_LDFLAGS = $(CAPTURED_LINK)

tests_process_captured_holdfast_worker_SOURCES = $(CAPTURED_CODE) \
	$(holdfast_worker_SOURCES)
tests_process_captured_holdfast_worker_LDADD = $(holdfast_worker_LDADD)
tests_process_captured_holdfast_worker_LDFLAGS = $(CAPTURED_LINK)

tests_process_captured_holdfast_auth_SOURCES = $(CAPTURED_CODE) \
	$(holdfast_auth_SOURCES)
tests_process_captured_holdfast_auth_CPPFLAGS = $(holdfast_auth_CPPFLAGS)
tests_process_captured_holdfast_auth_LDADD = $(holdfast_auth_LDADD)
tests_process_captured_holdfast_auth_LDFLAGS = $(CAPTURED_LINK)

tests_process_captured_holdfast_hasher_SOURCES = $(CAPTURED_CODE) \
	$(holdfast_hasher_SOURCES)
tests_process_captured_holdfast_hasher_CPPFLAGS = $(holdfast_hasher_CPPFLAGS)
tests_process_captured_holdfast_hasher_LDADD = $(holdfast_hasher_LDADD)
tests_process_captured_holdfast_hasher_LDFLAGS = $(CAPTURED_LINK)

tests_process_captured_holdfast_validator_SOURCES = $(CAPTURED_CODE) \
	$(holdfast_validator_SOURCES)
tests_process_captured_holdfast_validator_CPPFLAGS = \
	$(holdfast_validator_CPPFLAGS)
tests_process_captured_holdfast_validator_LDADD = $(holdfast_validator_LDADD)
tests_process_captured_holdfast_validator_LDFLAGS = $(CAPTURED_LINK)

tests_process_captured_holdfast_checker_SOURCES = $(CAPTURED_CODE) \
	$(holdfast_checker_SOURCES)
tests_process_captured_holdfast_checker_CPPFLAGS = $(holdfast_checker_CPPFLAGS)
tests_process_captured_holdfast_checker_LDADD = $(holdfast_checker_LDADD)
tests_process_captured_holdfast_checker_LDFLAGS = $(CAPTURED_LINK)

tests_process_captured_holdfast_job_SOURCES = $(CAPTURED_CODE) \
	$(holdfast_job_SOURCES)
tests_process_captured_holdfast_job_CPPFLAGS = $(holdfast_job_CPPFLAGS)
tests_process_captured_holdfast_job_LDADD = $(holdfast_job_LDADD)
tests_process_captured_holdfast_job_LDFLAGS = $(CAPTURED_LINK)

captured: $(CAPTURED_ALL)
CLEANFILES += $(CAPTURED_ALL) captured.lock
.PHONY: captured
