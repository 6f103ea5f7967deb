"""How large an image may be."""

from shared.model.errors import Invalid
from shared.model.ranges import PAGE_BYTES

LARGEST_IMAGE_BYTES = 8 * 1024**4
"""A page blob ends here (Azure's limit)."""


def check_image_size(size_bytes: int) -> None:
    """Raises `Invalid` where no page image can have that size."""
    if not 0 <= size_bytes <= LARGEST_IMAGE_BYTES or size_bytes % PAGE_BYTES:
        raise Invalid(
            f"an image cannot have {size_bytes} bytes: whole pages of {PAGE_BYTES}, "
            f"up to {LARGEST_IMAGE_BYTES}"
        )
