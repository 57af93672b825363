"""What somebody has changed by hand in the cluster is told, and taken back where it is declared."""

import json
import re

import pytest

from tests.cluster.programs import Failed
from tests.cluster.shop import Shop

pytestmark = pytest.mark.timeout(600)
ADD = "service/email", "--field-manager=kubectl-edit", "--patch"


def test_an_image_that_was_changed_by_hand_is_told_with_by_whom_and_taken_back(shop: Shop) -> None:
    email = "deployment/email"
    shop.atoll("deploy", "email", "-e", "test")
    (container,) = shop.kubectl.get("deployment", "email")["spec"]["template"]["spec"]["containers"]
    # Given an image that somebody has set, and something that nothing declared names
    shop.kubectl.run("set", "image", email, f"email={container['image']}-by-hand")
    shop.kubectl.run("patch", *ADD, '{"spec": {"publishNotReadyAddresses": true}}')
    try:
        # When it is looked at, then both are told
        with pytest.raises(Failed) as raised:
            shop.atoll("deploy", "email", "-e", "test", "--diff")
        said = str(raised.value)
        image = r"! Deployment email: spec\.template\.spec\.containers\[email\]\.image was changed by kubectl-set at 20"
        assert re.search(image, said), said
        assert re.search(
            r"! Service email: spec\.publishNotReadyAddresses was added by kubectl-edit at .* stays", said
        ), said
        # When it is deployed, then the first is as it was, and only the other is left to tell
        answer = json.loads(shop.atoll("deploy", "email", "-e", "test", "--json"))
        assert answer["applied"] == ["Deployment email"]
        taken_back = {each["field"]: each["taken_back"] for each in answer["drift"]}
        assert taken_back["spec.template.spec.containers[email].image"] is True
        assert taken_back["spec.publishNotReadyAddresses"] is False
        (after,) = shop.kubectl.get("deployment", "email")["spec"]["template"]["spec"]["containers"]
        assert after["image"] == container["image"]
        left = json.loads(shop.atoll("deploy", "email", "-e", "test", "--diff", "--json"))
        assert left["changes"] == []
        assert {each["object"] for each in left["drift"]} == {"Service email"}
    finally:
        shop.kubectl.run("patch", *ADD, '{"spec": {"publishNotReadyAddresses": null}}')
        shop.atoll("deploy", "email", "-e", "test")
    assert json.loads(shop.atoll("deploy", "email", "-e", "test", "--diff", "--json"))["drift"] == []
