"""Find cells in pictures of a microscope: smooth, threshold, close holes, label, measure.

Full scale: the 200 pictures of BBBC039, 520 by 696 pixels each.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.workflows, pytest.mark.cluster("small_cluster")]


@pytest.fixture(scope="module")
def dask_image():
    """The modules of ``dask-image``."""
    how = 'needs dask-image: pip install "coiled-runtime-cli[suites]"'
    return {
        name: pytest.importorskip(f"dask_image.{name}", reason=how) for name in ("ndfilters", "ndmeasure", "ndmorph")
    }


@pytest.fixture(scope="module")
def pictures(da, dataset):
    """``(images, planted)``: by image and place, and how many nuclei each image shows; None of real ones."""
    pytest.importorskip("zarr", reason='needs zarr: pip install "coiled-runtime-cli[suites]"')
    data = dataset("nuclei")
    if data.remote:
        return da.from_zarr(data.location, storage_options=data.storage_options), None
    planted = da.from_zarr(data.location, component="planted").compute(scheduler="threads")
    return da.from_zarr(data.location, component="images"), planted


def test_BBBC039(dask_image, pictures, small_client, scale):  # noqa: N802 - the collection's name, and the predecessor's
    """Segment nuclei, then their number, and the area and mean brightness of those in the first images.

    Neighbours within an image are joined; the predecessor's branch joined nuclei through the stack of images as well.
    """
    import dask
    import numpy as np

    images, planted = pictures
    smoothed = dask_image["ndfilters"].gaussian_filter(images, sigma=[0, 1, 1])
    around = dask_image["ndfilters"].threshold_local(smoothed, block_size=images.chunksize)
    cross = np.zeros((3, 3, 3), dtype="int64")
    cross[1, 1, :] = cross[1, :, 1] = 1
    shapes = dask_image["ndmorph"].binary_closing(smoothed > around, structure=cross)
    # Labels stay on the cluster: asked for twice, the second graph has tasks of the first one's names with other
    # dependencies, and a scheduler that has not forgotten the first one's yet loses some (dask/dask#9888).
    labels, number = dask.persist(*dask_image["ndmeasure"].label(shapes, structure=cross))
    number = int(number.compute())
    few = scale.count(smoke=1, laptop=1, full=10)  # each nucleus makes a few tasks for each image
    index = np.setdiff1d(np.unique(labels[:few].compute()), [0])
    area, brightness = dask.compute(
        dask_image["ndmeasure"].area(images[:few], labels[:few], index),
        dask_image["ndmeasure"].mean(images[:few], labels[:few], index),
    )
    area, brightness = np.asarray(area), np.asarray(brightness)
    assert (area > 0).all()
    if planted is None:
        assert number > len(images)
        return
    assert number == planted.sum()
    assert len(index) == planted[:few].sum()
    assert area.mean() == pytest.approx(np.pi * 11.5**2, rel=0.3)
    assert (brightness > 300).all()
