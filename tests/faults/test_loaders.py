"""Model, data, checkpoint and configuration files from anywhere: refused in one line, at no cost, without running what they say."""

import json
import logging
import zipfile

import netCDF4
import numpy as np
import pytest
import torch
import xarray as xr

from ennforce.io import TRAILER_LENGTH, DataError, attribute, file_digest, read_dataset, read_json, write_dataset, write_json
from ennforce.networks.export import load_model
from ennforce.networks.tensors import read_tensors, write_tensors
from tests.faults import fuzz


@pytest.mark.parametrize("name", fuzz.LOADERS)
def test_only_the_named_errors_leave_a_loader(tmp_path, name):
    """A short form of `make fuzz`: the same inputs at every run, in a process of bounded memory."""
    result = fuzz.run(name, 50, tmp_path)
    assert result["surprises"] == []
    assert sum(result["outcomes"].values()) >= 50 and len(result["outcomes"]) > 1, result["outcomes"]


def refusal(path, *variables) -> str:
    with pytest.raises(DataError) as caught:
        read_dataset(path, variables)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("packing", [{}, {"zlib": True}], ids=["plain", "compressed"])
def test_a_header_that_claims_a_million_billion_values_is_refused_unread(tmp_path, packing):
    with netCDF4.Dataset(tmp_path / "bomb.nc", "w") as file:
        dims = [file.createDimension(name, 100_000).name for name in ("a", "b", "c")]
        chunks = {"chunksizes": (10, 100, 1000)} if packing else {}
        file.createVariable("values", "f8", dims, fill_value=None if packing else False, **packing, **chunks)
    assert (tmp_path / "bomb.nc").stat().st_size < 20_000
    assert "claims 8000000000000000 bytes" in refusal(tmp_path / "bomb.nc")


def test_a_small_file_that_unpacks_to_much_is_refused_unread(tmp_path):
    zeros = xr.Dataset({"values": (("a", "b"), np.zeros((1000, 40_000)))})
    zeros.to_netcdf(tmp_path / "bomb.nc", encoding={"values": {"zlib": True, "complevel": 9}})
    assert (tmp_path / "bomb.nc").stat().st_size < 10**6
    assert "claims 320000000 bytes" in refusal(tmp_path / "bomb.nc")


def test_one_giant_chunk_around_a_single_value_counts_as_what_reading_it_takes(tmp_path):
    with netCDF4.Dataset(tmp_path / "chunk.nc", "w") as file:
        file.createDimension("a", None)
        file.createVariable("values", "f8", ("a",), zlib=True, chunksizes=(2**28,))
    assert "claims 2147483648 bytes" in refusal(tmp_path / "chunk.nc")


@pytest.mark.parametrize("what", ["dimensions", "text", "type", "group", "attribute"])
def test_data_that_break_the_contract_are_named(tmp_path, what):
    data, path = fuzz.labelled(), tmp_path / "data.nc"
    if what == "dimensions":
        data = data.rename(y="z")
    elif what == "type":
        data["fields"] = data["fields"].astype(str)
    elif what == "attribute":
        data.attrs["model"] = "[1]"
    write_dataset(data, path)
    if what == "text":
        data.to_netcdf(path)  # strings of variable length: no header tells their size
    if what == "group":
        with netCDF4.Dataset(path, "a") as file:
            file.createGroup("hidden")
    if what == "attribute":
        with pytest.raises(DataError, match="attribute model is missing or no JSON object"):
            attribute(read_dataset(path), "model")
    else:
        expected = {"dimensions": "has dimensions", "type": "fields is of type", "text": "text of fixed", "group": "has groups"}
        assert expected[what] in refusal(path)


def test_every_flipped_bit_of_a_data_file_is_noticed(tmp_path):
    path = tmp_path / "data.nc"
    write_dataset(fuzz.labelled(), path)
    whole = path.read_bytes()
    for position in np.random.default_rng(0).integers(0, len(whole) - TRAILER_LENGTH, 40):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(position % 8)
        path.write_bytes(flipped)
        refusal(path)
    path.write_bytes(whole[:-TRAILER_LENGTH])  # as other programs write it
    xr.testing.assert_identical(read_dataset(path), fuzz.labelled())


def test_json_of_great_depth_or_of_another_kind_is_refused(tmp_path):
    for content in ("[" * 100_000, "[1, 2]", "null", '"text"', "1" * 10_000):
        (tmp_path / "file.json").write_text(content)
        with pytest.raises(DataError, match=r"file\.json"):
            read_json(tmp_path / "file.json")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("width", 10**9, "architecture.width: Input should be less than or equal to 4096"),
        ("width", 4096, "must be torch.float32 of shape"),  # 10^9 weights, never allocated
        ("width", "1 -o /tmp/elsewhere", "architecture.width"),  # sizes reach the compiler's command line
        ("depth", 10**6, "architecture.depth"),
        ("first_radius", 10**4, "architecture.first_radius"),
        ("dilations", [10**6], "architecture.dilations.0"),
        ("dilations", [1] * 10**6, "architecture.dilations"),
        ("field_type", "999999xA1o", "a field of 999999 components"),
        ("kind", "euclidean", "does not fit"),
    ],
)
def test_a_network_larger_than_its_weights_is_never_built(tmp_path, key, value, message):
    fuzz.small_model(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())
    facts["architecture"][key] = value
    write_json(tmp_path / "model.json", facts)
    with pytest.raises(DataError, match=message):
        load_model(tmp_path)


def test_a_network_that_reaches_without_end_is_never_probed(tmp_path):
    fuzz.small_model(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())
    facts["architecture"] |= {"depth": 64, "dilations": [32]}
    write_json(tmp_path / "model.json", facts)
    with pytest.raises(DataError, match="blocks that reach 2048 sites; at most 512"):
        load_model(tmp_path)


@pytest.mark.parametrize("what", ["code", "compressed", "damaged"])
def test_weights_run_no_code_and_hold_no_more_than_their_file(tmp_path, what):
    fuzz.small_model(tmp_path)
    path = tmp_path / "weights.pt"
    if what == "code":
        torch.save({"a": fuzz.Foreign()}, path)
    elif what == "compressed":
        write_tensors({"a": torch.zeros(10**6)}, path)
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "packed", "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
        path = tmp_path / "packed"
    else:
        content = path.read_bytes()
        at = content.index(torch.load(path, weights_only=True)["field_scale"].numpy().tobytes())
        path.write_bytes(content[:at] + b"\0" + content[at + 1 :])
    with pytest.raises(
        DataError, match={"code": "something else than tensors", "compressed": "compressed", "damaged": "checksum"}[what]
    ):
        read_tensors(path)


def test_equal_models_are_equal_files(tmp_path):
    digests = []
    for name in ("one", "other"):
        fuzz.small_model(tmp_path / name)
        digests.append([file_digest(tmp_path / name / file) for file in ("model.json", "weights.pt")])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("name", ["trajectory checkpoint", "training checkpoint"])
def test_a_checkpoint_that_cannot_be_used_is_logged(tmp_path, name, caplog):
    attempt = fuzz.LOADERS[name][0](tmp_path)
    choices = iter([0, "truncate", 1000])
    with caplog.at_level(logging.INFO, logger="ennforce"):
        assert attempt(lambda strategy: next(choices)) == "afresh"
    assert "cannot be resumed" in caplog.text and "starts afresh" in caplog.text and len(caplog.records) == 1
