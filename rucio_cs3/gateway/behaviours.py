"""What real storages do, as seen on the wire: one table, and the only place where they differ.

The hazards are the point. A gateway that is kinder than the real ones lets clients pass that lose data on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Behaviour:
    """The facts of one storage. Statuses are CS3 codes; `OK` means that the call is taken as done."""

    name: str

    # The namespace
    mount: str = "/"  # where the tree hangs in the gateway's namespace
    home_per_user: bool = False  # each user sees a tree of his own, made at login
    finds_ids: bool = True  # a resource id leads to the file
    id_is_path: bool = True  # so it changes with a rename; else it is the inode
    lists_in_order: bool = True

    # What a call gets that finds something, or nothing, where it should not
    make_existing: str = "ALREADY_EXISTS"
    touch_existing: str = "ALREADY_EXISTS"
    below_file: str = "INTERNAL"  # Stat and Delete of what would be in a file
    make_without_parent: str = "NOT_FOUND"
    list_missing: str = "NOT_FOUND"
    delete_missing: str = "NOT_FOUND"
    metadata_missing: str = "NOT_FOUND"
    quota_missing: str = "OK"
    move_missing: str = "INTERNAL"  # the source, or the folder that it is to go to
    move_existing: str = "OK"  # what is there is replaced, unless it is a folder: INTERNAL
    bins_under_name: bool = True  # and time: a name that gets too long by that cannot be deleted
    makes_parents: bool = False  # CreateContainer, TouchFile, Move and PUT make what is missing above

    # What Stat says
    folder_size_is_recursive: bool = False
    shows_inode: bool = False  # as arbitrary metadata, with a name and an empty checksum
    folder_mime_type: str = "httpd/unix-directory"
    etag_is_change_time: bool = False  # of the inode; else of inode, size and second of modification

    # Arbitrary metadata
    # Keyed by path: it survives delete, and shows on whatever comes there next. Move takes it along from that very path
    # only, and answers INTERNAL, although it has moved the file, when the target's path has one of the keys already.
    metadata_outlives_file: bool = True
    metadata_sets_mtime: bool = True  # the key `mtime` is the file's own
    metadata_prefix: str = ""  # taken off the keys, as the namespace of extended attributes is

    # Logins
    has_app_passwords: bool = True
    finds_user_ids: bool = False  # by a machine login of `userid:…`
    asks_userinfo: bool = False  # of the OIDC issuer, instead of looking at the token

    # Locks
    has_locks: bool = False  # without them every call on locks is INTERNAL, not UNIMPLEMENTED

    # Bytes
    upload_protocols: tuple[str, ...] = ("simple", "tus")
    touched_files_take_no_bytes: bool = False  # TouchFile makes files that are root's, and PUT writes as the user
    exposes_data_server: bool = False  # upload URLs are secrets in themselves; else a token goes with them
    stages_uploads: bool = True  # a name appears complete, by rename; else content is written in place
    keeps_killed_uploads: bool = True  # a broken connection commits what had arrived
    killed_upload_breaks_user: bool = False  # every later PUT and GET of that user fails until a restart
    replaces_folders: bool = True  # a PUT onto a folder puts the file in place of the whole tree
    takes_chunk_names: bool = True  # `x-chunking-1-2-0` is a part of x, and no file of that name
    fixed_quota: int | None = None  # told whatever the disk says
    commits_empty_at_once: bool = (
        False  # Initiate of no bytes is the upload, over old content too; a PUT of none is 400
    )
    # Folder, conditions, locks, room and checksum: at Initiate, and again before a file appears; the bytes of an upload
    # that is refused then stay with it, and are in the way of the next try. A PUT in chunks, or one that is cut, is no
    # upload; but one that is shorter or longer than announced is, and its size is what was announced.
    checks_uploads: bool = False
    serves_ranges: bool = False

    # The second line
    # Trees with members and quotas of their own; files with ids, checksums and versions; a bin, and locks that count.
    # !! Delete of a space's root destroys the space, and Move of a folder into itself loses it and never returns.
    # !! A bad token, or one who may not see it, gets NOT_FOUND from Stat and ListContainer.
    has_spaces: bool = False
    asynchronous: bool = False  # what was uploaded is processed before it can be read


# What oCIS and OpenCloud have: the second line of Reva, with its driver `decomposed`.
OPENCLOUD = Behaviour(
    name="opencloud",
    has_spaces=True,
    mount="/users",
    id_is_path=False,
    lists_in_order=False,
    below_file="NOT_FOUND",
    make_without_parent="FAILED_PRECONDITION",
    quota_missing="NOT_FOUND",
    move_missing="NOT_FOUND",
    move_existing="ALREADY_EXISTS",
    bins_under_name=False,
    folder_size_is_recursive=True,
    metadata_outlives_file=False,
    keeps_killed_uploads=False,
    replaces_folders=False,
    commits_empty_at_once=True,
    checks_uploads=True,
    serves_ranges=True,
    has_app_passwords=False,
    finds_user_ids=True,
    asks_userinfo=True,
    has_locks=True,
)
BEHAVIOURS = {
    behaviour.name: behaviour
    for behaviour in (
        Behaviour(name="reva-local"),
        Behaviour(name="reva-localhome", mount="/home", home_per_user=True, exposes_data_server=True),
        Behaviour(
            name="reva-ceph",
            finds_ids=False,
            id_is_path=False,
            lists_in_order=False,
            make_existing="OK",
            touch_existing="OK",
            list_missing="INTERNAL",
            delete_missing="OK",
            metadata_missing="INTERNAL",
            bins_under_name=False,
            makes_parents=True,
            folder_size_is_recursive=True,
            shows_inode=True,
            folder_mime_type="",
            etag_is_change_time=True,
            metadata_outlives_file=False,
            metadata_sets_mtime=False,
            metadata_prefix="user.",
            has_locks=True,
            touched_files_take_no_bytes=True,
            upload_protocols=("simple",),
            stages_uploads=False,
            killed_upload_breaks_user=True,
            replaces_folders=False,
            takes_chunk_names=False,
            fixed_quota=50_000_000_000,
        ),
        OPENCLOUD,
        replace(OPENCLOUD, name="opencloud-async", asynchronous=True),
    )
}
DEFAULT = "reva-local"
# Third-party copies are a choice of the site's, and off by default. They are as bad as they were seen on the storages
# above; `honest` is for what has been seen on none of them yet: a door that does what it says.
TPC = ("off", "as-seen", "honest")
