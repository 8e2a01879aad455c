# validator/: the datastores' owner and its checkers; validator/store/ below.
noinst_LIBRARIES += libvalidator.a libchecker.a libjob.a
pkglibexec_PROGRAMS += holdfast-checker holdfast-job
EXTRA_PROGRAMS += holdfast-validator

libchecker_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
libchecker_a_SOURCES = \
	validator/checker_work.c validator/checker_work.h \
	validator/judge.c validator/judge.h

holdfast_checker_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
holdfast_checker_SOURCES = validator/checker_main.c
holdfast_checker_LDADD = libchecker.a $(FORMAT_LIBS) $(COMMON_LIBS)

libjob_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
libjob_a_SOURCES = \
	validator/jobs/gc.c validator/jobs/gc.h \
	validator/jobs/gc_filter.c validator/jobs/gc_filter.h \
	validator/jobs/gc_mark.c validator/jobs/gc_mark.h \
	validator/jobs/gc_missing.c validator/jobs/gc_missing.h \
	validator/jobs/gc_sweep.c validator/jobs/gc_sweep.h \
	validator/jobs/job.c validator/jobs/job.h validator/jobs/job_int.h \
	validator/jobs/job_kinds.def \
	validator/jobs/verify_chunks.c validator/jobs/verify_chunks.h \
	validator/jobs/verify_seen.c validator/jobs/verify_seen.h \
	validator/jobs/verify_job.c \
	validator/jobs/verify_peer.c validator/jobs/verify_peer.h \
	validator/jobs/verify_snap.c validator/jobs/verify_snap.h

holdfast_job_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
holdfast_job_SOURCES = validator/jobs/job_main.c
holdfast_job_LDADD = libjob.a $(STORE_LIBS) $(FORMAT_LIBS) $(COMMON_LIBS) \
	$(LMDB_LIBS)

libvalidator_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
libvalidator_a_SOURCES = \
	validator/blob.c \
	validator/call.c validator/call.h validator/call_int.h \
	validator/call_gc.c \
	validator/call_group.c \
	validator/call_prune.c \
	validator/call_snap.c \
	validator/call_store.c \
	validator/call_task.c \
	validator/call_verify.c \
	validator/capacity.c validator/capacity.h \
	validator/checker.c validator/checker.h validator/checker_int.h \
	validator/checker_pool.c \
	validator/control.c validator/control.h validator/control_int.h \
	validator/control_close.c \
	validator/control_cmds.c \
	validator/control_gc.c \
	validator/control_schedule.c \
	validator/control_verify.c \
	validator/deposit.c \
	validator/finish.c validator/finish.h validator/finish_int.h \
	validator/finish_commit.c \
	validator/forget.c validator/forget.h \
	validator/jobs/gc_serve.c validator/jobs/job_step.c \
	validator/jobs/jobs.c validator/jobs/jobs.h validator/jobs/jobs_int.h \
	validator/jobs/verify.h validator/jobs/verify_int.h \
	validator/jobs/verify_new.c \
	validator/jobs/verify_serve.c validator/jobs/verify_start.c \
	validator/metrics.c validator/metrics.h \
	validator/manifest_ask.c validator/manifest_ask.h \
	validator/manifest_edit.c validator/manifest_edit.h \
	validator/peer.c validator/peer.h \
	validator/prune.h \
	validator/reuse.c validator/reuse.h \
	validator/schedule.c validator/schedule.h \
	validator/session.c validator/session.h validator/session_int.h \
	validator/session_append.c \
	validator/session_check.c \
	validator/session_files.c \
	validator/session_index.c \
	validator/session_open.c \
	validator/session_reader.c \
	validator/session_recover.c \
	validator/session_resume.c \
	validator/start.c validator/start.h \
	validator/task.c validator/task.h \
	validator/task_read.c validator/task_read.h \
	validator/validator.c validator/validator.h \
	validator/validator_conf.c validator/validator_conf.h

VALIDATOR_LIBS = libvalidator.a $(STORE_LIBS) $(FORMAT_LIBS) $(COMMON_LIBS) \
	$(LMDB_LIBS)

sbin_PROGRAMS += holdfast-validator
holdfast_validator_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
holdfast_validator_SOURCES = validator/main.c
holdfast_validator_LDADD = $(VALIDATOR_LIBS)
