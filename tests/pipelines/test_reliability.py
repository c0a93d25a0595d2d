"""Scores of DiaSources on scenes that the model was not trained on."""

import numpy as np
import pytest

from pipelines.instruments import instrument
from pipelines.productions import standard
from pipelines.productions.reliability import FALSE, LOSS, REAL, SEEDS, THRESHOLD, badly_subtracted, labels, train
from pipelines.steps.reliability import FEATURES, features, model, quadratic, score_reliability

SEED = 31


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    camera = instrument("simcam_1k")
    given = standard.simulate(tmp_path_factory.mktemp("night"), camera, SEED, completeness=True, transients=1600)
    return given, standard.process(given, camera)


def test_the_scene_is_not_one_of_the_training():
    assert SEED not in SEEDS


def test_every_dia_source_has_a_score_and_its_version(night):
    rows = night[1].dia_sources
    assert np.all((rows["reliability"] >= 0) & (rows["reliability"] <= 1))
    assert set(rows["reliability_version"]) == {int(model()["version"])} != {0}


def test_real_ones_are_kept(night):
    given, made = night
    real = labels(given, made.dia_sources) == REAL
    assert real.sum() > 50
    assert np.mean(made.dia_sources["reliability"][real] >= THRESHOLD) >= 0.98


def test_artefacts_of_a_bad_subtraction_are_rejected(night):
    given, made = night
    bad = badly_subtracted(given, made)
    false = labels(given, bad.dia_sources) == FALSE
    assert false.sum() >= 5
    assert np.mean(bad.dia_sources["reliability"][false] >= THRESHOLD) < 0.5  # the rest may be noise


def test_scores_do_not_depend_on_the_other_rows(night):
    _, made = night
    few = score_reliability(made.dia_sources[:3], made.result, made.exposure, made.template, made.apart)
    np.testing.assert_array_equal(few["reliability"], made.dia_sources["reliability"][:3])


def test_no_rows_have_no_features(night):
    _, made = night
    assert features(made.dia_sources[:0], made.result, made.exposure, made.template).shape == (0, len(FEATURES))


def test_training_separates_what_can_be_separated():
    random = np.random.default_rng(4)
    label = random.integers(0, 2, 2000)
    values = random.normal(0, 1, (2000, len(FEATURES)))
    values[:, 2] += 6 * label
    trained = train(values, label, np.ones(2000, bool))
    score = quadratic((values - trained["mean"]) / np.array(trained["scale"])) @ np.array(trained["coefficients"])
    kept = score > np.log(THRESHOLD / (1 - THRESHOLD))
    assert np.mean(kept[label == REAL]) == pytest.approx(1 - LOSS, abs=0.001)
    assert np.mean(kept[label == FALSE]) < 0.1
