# tests of store
STORE_TEST_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
STORE_TEST_LIBS = $(STORE_LIBS) $(FORMAT_LIBS) $(COMMON_LIBS) $(LMDB_LIBS) \
	$(TEST_LIBS)
STORE_TEST_FIXTURE = tests/store/fixture.c tests/store/fixture.h

check_PROGRAMS += tests/store/test_bitmap
tests_store_test_bitmap_SOURCES = tests/store/test_bitmap.c $(STORE_TEST_FIXTURE)
tests_store_test_bitmap_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_bitmap_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_damage
tests_store_test_damage_SOURCES = tests/store/test_damage.c $(STORE_TEST_FIXTURE)
tests_store_test_damage_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_damage_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_lost
tests_store_test_lost_SOURCES = tests/store/test_lost.c $(STORE_TEST_FIXTURE)
tests_store_test_lost_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_lost_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_deposit_log
tests_store_test_deposit_log_SOURCES = tests/store/test_deposit_log.c $(STORE_TEST_FIXTURE)
tests_store_test_deposit_log_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_deposit_log_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_poison
tests_store_test_poison_SOURCES = tests/store/test_poison.c $(STORE_TEST_FIXTURE)
tests_store_test_poison_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_poison_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_chunk_store
tests_store_test_chunk_store_SOURCES = tests/store/test_chunk_store.c $(STORE_TEST_FIXTURE)
tests_store_test_chunk_store_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_chunk_store_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_threads
tests_store_test_threads_SOURCES = tests/store/test_threads.c $(STORE_TEST_FIXTURE)
tests_store_test_threads_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_threads_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_index_writer
tests_store_test_index_writer_SOURCES = tests/store/test_index_writer.c $(STORE_TEST_FIXTURE)
tests_store_test_index_writer_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_index_writer_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_layout
tests_store_test_layout_SOURCES = tests/store/test_layout.c $(STORE_TEST_FIXTURE)
tests_store_test_layout_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_layout_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_session_dir
tests_store_test_session_dir_SOURCES = tests/store/test_session_dir.c $(STORE_TEST_FIXTURE)
tests_store_test_session_dir_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_session_dir_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_session_page
tests_store_test_session_page_SOURCES = tests/store/test_session_page.c $(STORE_TEST_FIXTURE)
tests_store_test_session_page_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_session_page_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_lockdb
tests_store_test_lockdb_SOURCES = tests/store/test_lockdb.c $(STORE_TEST_FIXTURE)
tests_store_test_lockdb_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_lockdb_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_usage_log
tests_store_test_usage_log_SOURCES = tests/store/test_usage_log.c $(STORE_TEST_FIXTURE)
tests_store_test_usage_log_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_usage_log_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_verified
tests_store_test_verified_SOURCES = tests/store/test_verified.c $(STORE_TEST_FIXTURE)
tests_store_test_verified_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_verified_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_group
tests_store_test_group_SOURCES = tests/store/test_group.c $(STORE_TEST_FIXTURE)
tests_store_test_group_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_group_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_snapshot
tests_store_test_snapshot_SOURCES = tests/store/test_snapshot.c $(STORE_TEST_FIXTURE)
tests_store_test_snapshot_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_snapshot_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_namespace
tests_store_test_namespace_SOURCES = tests/store/test_namespace.c $(STORE_TEST_FIXTURE)
tests_store_test_namespace_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_namespace_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_reuse_scan
tests_store_test_reuse_scan_SOURCES = tests/store/test_reuse_scan.c $(STORE_TEST_FIXTURE)
tests_store_test_reuse_scan_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_reuse_scan_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_listing
tests_store_test_listing_SOURCES = tests/store/test_listing.c $(STORE_TEST_FIXTURE)
tests_store_test_listing_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_listing_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_record_file
tests_store_test_record_file_SOURCES = tests/store/test_record_file.c $(STORE_TEST_FIXTURE)
tests_store_test_record_file_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_record_file_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_dir_list
tests_store_test_dir_list_SOURCES = tests/store/test_dir_list.c $(STORE_TEST_FIXTURE)
tests_store_test_dir_list_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_dir_list_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_sync
tests_store_test_sync_SOURCES = tests/store/test_sync.c $(STORE_TEST_FIXTURE)
tests_store_test_sync_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_sync_LDADD = $(STORE_TEST_LIBS)

check_PROGRAMS += tests/store/test_scan_window
tests_store_test_scan_window_SOURCES = tests/store/test_scan_window.c
tests_store_test_scan_window_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_store_test_scan_window_LDADD = $(STORE_TEST_LIBS)
