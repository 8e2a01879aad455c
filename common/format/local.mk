# common/format/: Proxmox Backup's bytes, no policy.
libformat_a_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS) $(ZSTD_CFLAGS) \
	$(ISAL_CFLAGS)
libformat_a_SOURCES = \
	common/format/auth_id.c \
	common/format/auth_id.h \
	common/format/blob.c \
	common/format/blob.h \
	common/format/catalog.c \
	common/format/catalog.h \
	common/format/catalog_int.h \
	common/format/catalog_writer.c \
	common/format/chunker.c \
	common/format/chunker.h \
	common/format/crypt.c \
	common/format/crypt.h \
	common/format/digest.c \
	common/format/digest.h \
	common/format/dynamic_index.c \
	common/format/dynamic_index.h \
	common/format/fixed_index.c \
	common/format/fixed_index.h \
	common/format/index.c \
	common/format/index.h \
	common/format/index_int.h \
	common/format/keyfile.c \
	common/format/keyfile.h \
	common/format/le.h \
	common/format/manifest.c \
	common/format/manifest.h \
	common/format/manifest_client.c \
	common/format/manifest_int.h \
	common/format/names.c \
	common/format/names.h \
	common/format/prune.c \
	common/format/prune.h \
	common/format/pxar.c \
	common/format/pxar.h \
	common/format/pxar_dir.c \
	common/format/pxar_int.h \
	common/format/snapshot.c \
	common/format/snapshot.h \
	common/format/upid.c \
	common/format/upid.h
