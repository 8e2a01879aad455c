# Process tests (pytest) over the real programs; ./check runs them.
include tests/process/captured/local.mk
noinst_PROGRAMS += tests/process/print_calls
tests_process_print_calls_SOURCES = tests/process/print_calls.c
tests_process_print_calls_LDADD = $(SERVER_LIBS)

EXTRA_DIST += tests/data/traces \
	tests/process/accounts.py tests/process/authipc.py \
	tests/process/calls.py \
	tests/process/conftest.py \
	tests/process/crowd.py tests/process/deaths.py \
	tests/process/fake_server.py \
	tests/process/faults.c tests/process/faults.py \
	tests/process/fault_page.h \
	tests/process/footprint.py \
	tests/process/instance.py tests/process/interleave \
	tests/process/mutations \
	tests/process/nthfault.c tests/process/nthfault.py \
	tests/process/pbs.py \
	tests/process/powercut/crash.py \
	tests/process/powercut/expected.py \
	tests/process/powercut/record.c \
	tests/process/powercut/recording.py \
	tests/process/powercut/workload.py \
	tests/process/pytest.ini \
	tests/process/pxar.py \
	tests/process/replay.py \
	tests/process/starve.c \
	tests/process/store.py tests/process/terminal.py \
	tests/process/test_access.py tests/process/test_acl.py \
	tests/process/test_audit.py \
	tests/process/test_admin_hints.py \
	tests/process/test_adoption.py \
	tests/process/test_auth.py \
	tests/process/test_auth_faults.py \
	tests/process/test_capacity.py \
	tests/process/test_captured.py \
	tests/process/test_captured_worker.py \
	tests/process/test_client.py \
	tests/process/test_client_alone.py \
	tests/process/test_client_manage.py \
	tests/process/test_client_modes.py \
	tests/process/test_durability.py \
	tests/process/test_error_texts.py \
	tests/process/test_file_access.py \
	tests/process/test_fault_load.py \
	tests/process/test_fault_matrix.py \
	tests/process/test_finish.py \
	tests/process/test_gc.py \
	tests/process/test_h2_abuse.py \
	tests/process/test_h2_frames.py \
	tests/process/test_h2_restart.py \
	tests/process/test_h2_session.py \
	tests/process/test_instance.py \
	tests/process/test_listings.py \
	tests/process/test_load.py \
	tests/process/test_limits.py \
	tests/process/test_interleave.py \
	tests/process/test_job_faults.py \
	tests/process/test_locks.py \
	tests/process/test_metrics.py \
	tests/process/test_mounts.py \
	tests/process/test_out_of_memory.py \
	tests/process/test_params.py \
	tests/process/test_permissions.py \
	tests/process/test_powercut.py \
	tests/process/test_powercut_auth.py \
	tests/process/test_prune.py \
	tests/process/test_pve.py \
	tests/process/test_quickstart.py \
	tests/process/test_readme.py \
	tests/process/test_replay.py \
	tests/process/test_resume.py \
	tests/process/test_reuse.py \
	tests/process/test_schedule.py \
	tests/process/test_sealed.py \
	tests/process/test_server.py \
	tests/process/test_sessions.py \
	tests/process/test_slow_disk.py \
	tests/process/test_traps.py \
	tests/process/test_tasks.py \
	tests/process/test_storage_faults.py \
	tests/process/test_tls.py \
	tests/process/test_validator.py \
	tests/process/test_validator_calls.py \
	tests/process/test_validator_check.py \
	tests/process/test_validator_control.py \
	tests/process/test_validator_restart.py \
	tests/process/test_verify.py \
	tests/process/turns.c tests/process/turns.py \
	tests/process/vtools.py \
	tests/process/vworker.py
