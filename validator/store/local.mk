# validator/store/: a datastore on disk, its threads, and the lock database.
# The only code that touches a store.
noinst_LIBRARIES += libstore.a
libstore_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
libstore_a_SOURCES = \
	validator/store/bitmap.c validator/store/bitmap.h \
	validator/store/chunk_name.c validator/store/chunk_name.h \
	validator/store/chunk_store.c validator/store/chunk_store.h \
	validator/store/damage.c validator/store/damage.h \
	validator/store/deposit_log.c validator/store/deposit_log.h \
	validator/store/dir_list.c validator/store/dir_list.h \
	validator/store/group.c validator/store/group.h \
	validator/store/index_writer.c validator/store/index_writer.h \
	validator/store/layout.c validator/store/layout.h \
	validator/store/listing.c validator/store/listing.h \
	validator/store/lockdb.c validator/store/lockdb.h \
	validator/store/lockdb_int.h validator/store/lockdb_session.c \
	validator/store/lost.c validator/store/lost.h \
	validator/store/namespace.c validator/store/namespace.h \
	validator/store/poison.c validator/store/poison.h \
	validator/store/record_file.c validator/store/record_file.h \
	validator/store/reuse_scan.c validator/store/reuse_scan.h \
	validator/store/scan_window.c validator/store/scan_window.h \
	validator/store/session_dir.c validator/store/session_dir.h \
	validator/store/session_page.c validator/store/session_page.h \
	validator/store/snapshot.c validator/store/snapshot.h \
	validator/store/sync.c \
	validator/store/threads.c validator/store/threads.h \
	validator/store/usage_log.c validator/store/usage_log.h \
	validator/store/verified.c validator/store/verified.h

STORE_LIBS = libstore.a
