from argosy.linux import caps


def test_a_mask_has_the_bits_of_the_kernels_numbers() -> None:
    assert caps.mask(["CAP_CHOWN"]) == 1
    assert caps.mask(["CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_CHOWN"]) == 1 << 21 | 1
    assert caps.mask(["CAP_CHECKPOINT_RESTORE"]) == 1 << 40


def test_a_capability_that_is_not_known_is_left_out() -> None:
    assert caps.mask(["CAP_OF_TOMORROW"]) == 0


def test_nothing_beyond_the_kernels_last_capability_is_held() -> None:
    assert caps.held() < 1 << caps.last_cap() + 1
