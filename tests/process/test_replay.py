"""Recordings of real clients, played against an instance; see replay.py."""

import pytest

import replay

# In the order in which they were made, on one server.
RECORDINGS = """
    login version status first-backup incremental-backup image-first
    image-incremental list snapshot-list snapshot-files restore-pxar
    restore-img restore-conf catalog-dump notes-update notes-show protect
    forget-protected unprotect prune-dry prune ns-create ns-list ns-backup
    ns-delete upload-log task-list older-time-refused wrong-password
    no-such-store forget large-directory-first large-directory-incremental
    encrypted-first encrypted-incremental encrypted-restore sign-only
    benchmark task-list-limit task-log change-owner not-owner-refused
    not-owner-list token-backup token-list bad-token no-namespace
    same-time-refused qemu-full qemu-incremental qemu-restore
    go-directory-first go-directory-incremental go-image-first
    go-image-incremental
    gc
    """.split()

# What must be there before, when one is played alone.
NEEDS = {
    'incremental-backup': ['first-backup'],
    'image-incremental': ['image-first'],
    'list': ['incremental-backup', 'image-incremental'],
    'snapshot-list': ['incremental-backup', 'image-incremental'],
    'snapshot-files': ['first-backup'],
    'restore-pxar': ['first-backup'],
    'restore-img': ['image-first'],
    'restore-conf': ['first-backup'],
    'catalog-dump': ['first-backup'],
    'notes-update': ['first-backup'],
    'notes-show': ['notes-update'],
    'protect': ['incremental-backup'],
    'forget-protected': ['protect'],
    'unprotect': ['forget-protected'],
    'prune-dry': ['incremental-backup', 'unprotect'],
    'prune': ['prune-dry'],
    'ns-list': ['ns-create'],
    'ns-backup': ['ns-create'],
    'ns-delete': ['ns-backup'],
    'upload-log': ['incremental-backup'],
    'task-list': ['incremental-backup'],
    'older-time-refused': ['incremental-backup'],
    'forget': ['incremental-backup', 'older-time-refused', 'upload-log'],
    'large-directory-incremental': ['large-directory-first'],
    'encrypted-incremental': ['encrypted-first'],
    'encrypted-restore': ['encrypted-incremental'],
    'task-log': ['sign-only'],
    'change-owner': ['sign-only'],
    'not-owner-refused': ['encrypted-incremental'],
    'not-owner-list': ['change-owner'],
    'token-list': ['token-backup'],
    'same-time-refused': ['change-owner'],
    'qemu-incremental': ['qemu-full'],
    'qemu-restore': ['qemu-incremental'],
    'go-directory-incremental': ['go-directory-first'],
    'go-image-incremental': ['go-image-first'],
}


@pytest.fixture(scope='module')
def replayer(instance):
    return replay.Replayer(instance)


def test_every_recording_is_played():
    assert set(RECORDINGS) == set(replay.names())


@pytest.mark.parametrize('name', RECORDINGS)
def test_replay(replayer, name):
    assert replayer.need(name, NEEDS) == []
