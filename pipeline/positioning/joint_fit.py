"""Places of a tag in many rounds, and the biases of the anchors, fitted together to the ranges alone.

The model of the range in round *r* to anchor *j* at *aⱼ* is *|pᵣ - aⱼ - δⱼ| + bⱼ*, with the place *pᵣ* and the bias
*bⱼ* unknown, and the offset *δⱼ* of such anchors as it is freed for. A place has ranges of its own alone, so it is
eliminated from the normal equations (the Schur complement of bundle adjustment); what is left is no larger than the
number of anchors asks for. Arrays are over rounds r, anchors a, axes d, and parameters q: all biases, then all offsets.

The biases have a prior: before any data they are 0, give or take a part common to all anchors (delays in the tags) and
one of each. What the geometry cannot tell, as a bias common to anchors all on one side, keeps the prior's sigma.

Sources, besides those of :mod:`pipeline.positioning.robust`:
    * V. P. Godambe, Annals of Mathematical Statistics 31(4), 1960: the information of an estimating equation.
    * B. Triggs, P. McLauchlan, R. Hartley, A. Fitzgibbon, "Bundle adjustment: a modern synthesis", 1999, section 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.positioning.calibration import directions
from pipeline.positioning.robust import Floats, Integers, cluster_meat, huber_weights, mad_sigma, tukey_weights
from pipeline.positioning.round_table import RoundTable

COMMON_SIGMA_M, OWN_SIGMA_M = 0.25, 0.165
PRIOR_SIGMA_M = math.hypot(COMMON_SIGMA_M, OWN_SIGMA_M)
"""0.3 m: ranges of UWB have a bias of 0.1 to 0.3 m, most of it common to a tag's ranges."""
_OFFSET_SIGMA_M = 5.0
_HUBER_ITERATIONS, _TUKEY_ITERATIONS = 12, 12
_MAX_STEP = 0.2
"""Of a place in one iteration, as a part of its mean distance to the anchors."""
_MIN_SURPLUS = 0.1
_RIDGE = 1e-6

Weigh = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Model:
    """What is known beforehand: the anchors (a, 3), z nan where not known, and which of them may have an offset.

    ``height_prior_m`` is the (mean, sigma) of the tag's height where it is solved for; ``offset_axes`` is how many
    coordinates an offset has.
    """

    anchors_m: Floats
    height_prior_m: tuple[float, float] | None = None
    offset_axes: int = 2
    freed: Sequence[int] = ()

    @property
    def axes(self) -> int:
        """How many coordinates of a place are unknown."""
        return 2 if self.height_prior_m is None else 3

    def offset_of(self, anchor: int) -> Integers:
        """Return the numbers of the parameters that are an anchor's offset."""
        return len(self.anchors_m) + anchor * self.offset_axes + np.arange(self.offset_axes)

    def unknown(self) -> Integers:
        """Return the numbers of the parameters that are fitted."""
        return np.concatenate([np.arange(len(self.anchors_m)), *map(self.offset_of, self.freed)])

    def prior_precision(self) -> Floats:
        """Return the inverse covariance of the parameters that are fitted."""
        count, total = len(self.anchors_m), self.unknown().size
        precision = np.eye(total) / _OFFSET_SIGMA_M**2
        precision[:count, :count] = np.linalg.inv(np.eye(count) * OWN_SIGMA_M**2 + COMMON_SIGMA_M**2)
        return precision


class State(NamedTuple):
    """Biases (a), offsets (a, 3) and places (r, 3)."""

    biases_m: Floats
    offsets_m: Floats
    places_m: Floats


class Linear(NamedTuple):
    """The problem about a state, with the places eliminated.

    ``residuals_m`` (r, a), ``weights`` (r, a; 1/m²), the ``sigma_m`` behind them, each round's ``scores`` (r, q),
    the normal matrix ``reduced`` (q, q), and of the places inverse (r, d, d), mixed part (r, d, q), gradient (r, d).
    """

    residuals_m: Floats
    weights: Floats
    sigma_m: float
    scores: Floats
    reduced: Floats
    place_inverse: Floats
    mixed: Floats
    place_gradient: Floats


def surplus_share(table: RoundTable, model: Model) -> float:
    """Return what share of the ranges' variance the places leave to the residuals."""
    ranges = int(np.isfinite(table.distance_m).sum())
    return max(1.0 - model.axes * len(table.at_s) / max(ranges, 1), _MIN_SURPLUS)


def linearise_all(table: RoundTable, model: Model, state: State, weigh: Weigh) -> Linear:
    """Return the linear problem about a state."""
    has_range = np.isfinite(table.distance_m)
    rounds = len(has_range)
    distances_m, along = directions(state.places_m[:, None, :], (model.anchors_m + state.offsets_m)[None, :, :])
    residuals_m = np.where(has_range, table.distance_m - distances_m - state.biases_m, 0.0)
    sigma_m = mad_sigma(residuals_m[has_range]) / math.sqrt(surplus_share(table, model))
    weights = np.where(has_range, weigh(residuals_m / sigma_m), 0.0) / sigma_m**2

    by_place = along[:, :, : model.axes]
    weighted = by_place * weights[:, :, None]
    normal = np.einsum("rad,rae->rde", weighted, by_place) + _RIDGE * np.eye(model.axes)
    place_gradient = np.einsum("rad,ra->rd", weighted, residuals_m)
    if model.height_prior_m is not None:
        mean_m, prior_m = model.height_prior_m
        normal[:, 2, 2] += prior_m**-2
        place_gradient[:, 2] += (mean_m - state.places_m[:, 2]) * prior_m**-2
    place_inverse = np.linalg.inv(normal)

    by_offset = -along[:, :, : model.offset_axes]
    mixed_offset = np.einsum("rad,rao->rdao", weighted, by_offset).reshape(rounds, model.axes, -1)
    mixed = np.concatenate([weighted.transpose(0, 2, 1), mixed_offset], axis=2)
    pulls = weights * residuals_m
    scores = np.hstack([pulls, (pulls[:, :, None] * by_offset).reshape(rounds, -1)])
    scores -= np.einsum("rdq,rde,re->rq", mixed, place_inverse, place_gradient, optimize=True)
    reduced = _own_normal(weights, by_offset)
    reduced -= mixed.reshape(-1, mixed.shape[2]).T @ (place_inverse @ mixed).reshape(-1, mixed.shape[2])
    return Linear(residuals_m, weights, sigma_m, scores, reduced, place_inverse, mixed, place_gradient)


def _own_normal(weights: Floats, by_offset: Floats) -> Floats:
    """Return the normal matrix of the parameters were the places known: each anchor's by itself."""
    _, anchors, axes = by_offset.shape
    normal = np.zeros((anchors * (1 + axes), anchors * (1 + axes)))
    for anchor in range(anchors):
        rows = np.hstack([np.ones((len(weights), 1)), by_offset[:, anchor]])
        columns = np.concatenate([[anchor], anchors + anchor * axes + np.arange(axes)])
        normal[np.ix_(columns, columns)] = (rows * weights[:, anchor, None]).T @ rows
    return normal


def fit(table: RoundTable, model: Model, start: State, *, redescend: bool = True) -> State:
    """Return the state of least robust loss, with Huber's loss first and then, unless told not to, Tukey's."""
    state = start
    for iteration in range(_HUBER_ITERATIONS + (_TUKEY_ITERATIONS if redescend else 0)):
        weigh = huber_weights if iteration < _HUBER_ITERATIONS else tukey_weights
        linear = linearise_all(table, model, state, weigh)
        step = _step(linear, model, state)
        offsets_m = state.offsets_m.copy()
        offsets_m[:, : model.offset_axes] += step[len(model.anchors_m) :].reshape(-1, model.offset_axes)
        place_gradient = linear.place_gradient - linear.mixed @ step
        state = State(
            state.biases_m + step[: len(model.anchors_m)], offsets_m, _moved(linear, model, state, place_gradient)
        )
    return state


def solve_places(table: RoundTable, model: Model, start: State) -> State:
    """Return the places that fit given biases and offsets, with Huber's loss."""
    state = start
    for _ in range(_HUBER_ITERATIONS):
        linear = linearise_all(table, model, state, huber_weights)
        state = state._replace(places_m=_moved(linear, model, state, linear.place_gradient))
    return state


def covariance(linear: Linear, model: Model, clusters: Integers) -> Floats:
    """Return the covariance of the parameters fitted (in their order) at a solution, with the prior's share in it.

    With the normal matrix *S*, the prior's precision *P* and the covariance *M* of the score, by clusters, it is
    *(S + P)⁻¹ (M + P) (S + P)⁻¹*, which is the posterior's *(S + P)⁻¹* where all errors are independent.
    """
    unknown, precision = model.unknown(), model.prior_precision()
    inverse = np.linalg.inv(linear.reduced[np.ix_(unknown, unknown)] + precision)
    result: Floats = inverse @ (cluster_meat(linear.scores[:, unknown], clusters, unknown.size) + precision) @ inverse
    return result


def posterior(linear: Linear, model: Model, clusters: Integers, biases_m: Floats) -> tuple[Floats, Floats]:
    """Return the biases (a) with the prior given its due, and their variances (a; m²).

    Ranges go astray together, so they are worth less against the prior than the fit took them for. In the basis in
    which the prior's precision is the identity and the normal matrix is diagonal, *s*, and in which the score varies by
    *m* between clusters, a coordinate *c* of the fit is *c (s + 1) / s* by the ranges alone, with the information
    *g = s² / m* (Godambe's; no more than *s*), and *g / (g + 1)* of that with the prior.
    """
    count = len(model.anchors_m)
    unknown, precision = model.unknown(), model.prior_precision()
    whitening = np.linalg.inv(np.linalg.cholesky(precision)).T
    strengths, turn = np.linalg.eigh(whitening.T @ linear.reduced[np.ix_(unknown, unknown)] @ whitening)
    strengths = np.maximum(strengths, _RIDGE)
    basis = whitening @ turn
    meat = np.einsum("qi,qp,pi->i", basis, cluster_meat(linear.scores[:, unknown], clusters), basis)
    information = np.square(strengths) / np.maximum(meat, strengths)
    values = np.concatenate([biases_m, np.zeros(unknown.size - count)])
    coordinates = np.linalg.solve(basis, values) * (strengths + 1.0) / strengths
    weighed = basis @ (coordinates * information / (information + 1.0))
    variances = np.square(basis) @ (1.0 / (information + 1.0))
    return weighed[:count], variances[:count]


def _step(linear: Linear, model: Model, state: State) -> Floats:
    """Return the step of all parameters: zero for those that are not fitted."""
    unknown, precision = model.unknown(), model.prior_precision()
    values = np.concatenate([state.biases_m, state.offsets_m[:, : model.offset_axes].ravel()])
    normal = linear.reduced[np.ix_(unknown, unknown)] + precision
    step = np.zeros_like(values)
    step[unknown] = np.linalg.solve(normal, linear.scores[:, unknown].sum(axis=0) - precision @ values[unknown])
    return step


def _moved(linear: Linear, model: Model, state: State, place_gradient: Floats) -> Floats:
    steps = np.einsum("rde,re->rd", linear.place_inverse, place_gradient)
    distances_m, _ = directions(state.places_m[:, None, :], model.anchors_m[None, :, :])
    lengths_m = np.maximum(np.linalg.norm(steps, axis=1), np.finfo(float).tiny)
    shares = np.minimum(1.0, _MAX_STEP * distances_m.mean(axis=1) / lengths_m)
    places_m = state.places_m.copy()
    places_m[:, : model.axes] += steps * shares[:, None]
    return places_m
