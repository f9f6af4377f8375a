"""What a script does with a client made by a generator: create, list, apply, delete.

With a word behind the token: what it learns when an Apply cannot be done.
"""

import sys

from made.api.apply import apply, preview_apply
from made.api.users import create_user, delete_user, get_user, list_users
from made.client import AuthenticatedClient
from made.models import (
    ApplyProblem,
    ApplyRequest,
    ApplyResult,
    CreatedUser,
    NewApiUser,
    PreviewResult,
    Problem,
)

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])

if sys.argv[3:] == ["busy"]:
    busy = apply.sync(client=client, body=ApplyRequest())
    assert isinstance(busy, ApplyProblem) and busy.status == 409 and not busy.result, busy
    assert busy.detail == "bob is applying right now; wait until that is done", busy
    print("done")
    sys.exit()

if sys.argv[3:] == ["unreachable"]:
    silent = apply.sync(client=client, body=ApplyRequest())
    assert isinstance(silent, ApplyProblem) and silent.status == 503, silent
    assert silent.result.outcome == "unreachable" and not silent.result.verified, silent
    assert silent.result.message == silent.detail, silent
    print("done")
    sys.exit()

ann = create_user.sync(client=client, body=NewApiUser(name="Ann O'Neil", email="ann@example.com"))
assert isinstance(ann, CreatedUser), ann
assert ann.extension.number == 1000 and len(ann.extension.secret) >= 20

again = create_user.sync(client=client, body=NewApiUser(name="Ann", email="ANN@example.com"))
assert isinstance(again, Problem) and again.status == 409, again
assert "email" in again.errors.additional_properties

users = list_users.sync(client=client)
assert [user.name for user in users.users] == ["Ann O'Neil"] and users.total == 1

preview = preview_apply.sync(client=client)
assert isinstance(preview, PreviewResult) and preview.modules == ["res_pjsip.so"], preview

applied = apply.sync(client=client, body=ApplyRequest(reason="from a generated client"))
assert isinstance(applied, ApplyResult) and applied.verified, applied
assert applied.users_applied == 1

unknown = apply.sync(client=client, body=ApplyRequest(release=99))
assert isinstance(unknown, Problem) and unknown.status == 404, unknown
assert "release" in unknown.errors.additional_properties

gone = delete_user.sync(ann.id, client=client)
assert gone.freed_extension == 1000, gone
missing = get_user.sync(ann.id, client=client)
assert isinstance(missing, Problem) and missing.status == 404, missing
print("done")
