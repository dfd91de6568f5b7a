"""EROFS on disk, as far as an index over tars needs it (Linux, fs/erofs/erofs_fs.h).

Blocks are 512 bytes, as tar's, so that contents are addressed where they are in the tar. The first
1,024 bytes of a file system belong to whoever makes it.
"""

import struct

BLOCK_BITS = 9
BLOCK = 1 << BLOCK_BITS
SUPERBLOCK_OFFSET = 1024
MAGIC = 0xE0F5E1E2
COMPAT_MTIME = 0x2
INCOMPAT_CHUNKED_FILE = 0x4
INCOMPAT_DEVICE_TABLE = 0x8

# magic checksum compat blkszbits extslots root_nid inos epoch fixed_nsec blocks meta_blkaddr xattr_blkaddr
# uuid volume_name incompat algorithms extra_devices devt_slotoff
SUPERBLOCK = struct.Struct("<IIIBBHQQIIII16s16sIHHH38x")
# tag blocks uniaddr
DEVICE_SLOT = struct.Struct("<64sII56x")
# format xattr_icount mode reserved size blkaddr|rdev|chunk_info ino uid gid mtime mtime_nsec nlink
INODE = struct.Struct("<HHHHQIIIIqII16x")
# nid nameoff file_type
DIRENT = struct.Struct("<QHBx")
# name_filter shared_count
XATTR_HEADER = struct.Struct("<IB7x")
# name_len name_index value_size
XATTR_ENTRY = struct.Struct("<BBH")
# reserved device_id startblk
CHUNK_INDEX = struct.Struct("<HHI")

EXTENDED = 1
FLAT_PLAIN, FLAT_INLINE, CHUNK_BASED = 0, 2, 4
CHUNK_INDEXES = 0x20
NULL_BLOCK = 0xFFFFFFFF
NID_BITS = 5
NAME_LIMIT = 255
XATTR_LIMIT = 0xFFFE * 4

# Longest first: the ACLs' names are whole, the others are what comes after the prefix.
XATTR_PREFIXES = (
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"security.", 6),
    (b"trusted.", 4),
    (b"user.", 1),
)

# By the format bits of the mode (mode >> 12).
FILE_TYPES = {0o10: 1, 0o4: 2, 0o2: 3, 0o6: 4, 0o1: 5, 0o14: 6, 0o12: 7}
