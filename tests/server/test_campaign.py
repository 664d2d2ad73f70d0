"""A campaign from its first message to its last, and every way in which a site can spoil it."""

from __future__ import annotations

import json

from safetensors.numpy import load_file


def test_an_undisturbed_campaign_ends_with_a_model_and_its_card(federation):
    running = federation.run()
    state = running.journal.state
    assert (state.phase, state.status) == ("done", "finished")
    parameters = load_file(running.results / "model.safetensors")
    assert {name: array.shape for name, array in parameters.items()} == {
        "layers.0.weight": (1, 4),
        "layers.0.bias": (1,),
    }
    card = json.loads((running.results / "model-card.json").read_text())
    assert card["training"] == {"rounds": 4, "sites": ["east", "north", "south", "west"]}
    assert card["evaluation"]["together"]["auc"] > 0.7
    assert parameters["layers.0.weight"][0, 0] > 0.1
