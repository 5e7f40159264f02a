"""What attacks learn before they start: made when it is needed, and entered into the journal with its pictures."""

from __future__ import annotations

from collections.abc import Callable

from palpate.attacks.universal.attack import Universal
from palpate.audit.plan.items import Item
from palpate.audit.run.journal import Journal
from palpate.audit.subject.room import Room
from palpate.audit.work.gallery import draw_change
from palpate.audit.work.learning import changes_at, described, learned, learning_identity
from palpate.audit.work.shards import under_attack


class Learning:
    """The learned attacks of one start.

    Args:
        journal: the state of the run.
        room: how many images fit into memory.
        say: is called with a sentence before something is learned.
    """

    def __init__(self, journal: Journal, room: Room, say: Callable[[str], None]):
        self.journal, self.room, self.say = journal, room, say
        self.made: dict[str, bytes] = {}
        for item in journal.items:
            self._enter(item)

    def file(self, item: Item) -> bytes:
        """The file with what an attack learned: of an earlier start, or learned now. Call it inside `with victim:`.

        It is learned by the audit itself, before the first shard, so that it does not depend on which worker does what.

        Raises:
            InputError: the model fails.
            StorageError: the disk is full or does not accept the file.
        """
        journal = self.journal
        if item.identity not in self.made:
            self.say(f"'{item.name}' learns, or reads what it has learned.")
            with under_attack():
                learned(journal.plan, journal.subject, journal.run, item, self.room)
            place = journal.run.learned(learning_identity(journal.plan, journal.subject, item))
            self.made[item.identity] = place.read_bytes()
            self._enter(item)
        return self.made[item.identity]

    def _enter(self, item: Item) -> None:
        """Describe what an item learned in the journal, and draw it, if it is not drawn yet."""
        if not isinstance(item.attack, Universal):
            return
        journal = self.journal
        entry = described(journal.plan, journal.subject, journal.run, item)
        changes = changes_at(journal.plan, journal.subject, journal.run, item, len(item.eps) - 1)
        for number, change in enumerate(() if changes is None else changes):
            stem = f"{item.identity[:16]}-universal-{number}"
            entry["groups"][number] |= draw_change(journal.run, journal.subject, stem, change)
        journal.learned[item.identity] = entry
