"""The texts of the simulated assessors: plausible explanations of a grade, in Norwegian, all invented.

Each text names its submission, and within a group the participant. So a text that reached the wrong candidate is always
recognised as wrong.
"""

from __future__ import annotations

from random import Random

_OPENINGS = (
    "Besvarelsen viser god oversikt over pensum og et selvstendig blikk på problemstillingen.",
    "Kandidaten svarer på det oppgaven spør om, men drøftingen er gjennomgående kort.",
    "Besvarelsen er ryddig disponert og lett å følge fra innledning til konklusjon.",
    "Kandidaten gjengir sentrale begreper riktig, men bruker dem i liten grad i egen analyse.",
    "Dette er en jevn besvarelse med enkelte sterke partier og noen tydelige mangler.",
)
_MERITS = (
    "Utregningene i oppgave {task} er korrekte, og mellomregningene er tatt med.",
    "I oppgave {task} trekkes det inn relevant litteratur utover det som forelesningene dekket.",
    "Oppgave {task} er besvart presist, med gode eksempler.",
    "Metodevalget i oppgave {task} er godt begrunnet.",
)
_FLAWS = (
    "I oppgave {task} mangler en begrunnelse for hvorfor forutsetningene er oppfylt.",
    "Oppgave {task} er bare delvis besvart; siste deloppgave er ikke berørt.",
    "Kildehenvisningene i oppgave {task} er ufullstendige.",
    "I oppgave {task} forveksles to begreper, noe som gir en feil konklusjon.",
)
_ENDINGS = (
    "Samlet sett ligger besvarelsen midt i karakterens beskrivelse.",
    "Etter en helhetsvurdering står karakteren som satt ved sensuren.",
    "Styrkene veier opp for manglene, og karakteren gjenspeiler det.",
)


def compose(submission_id: int, version: int, *, seed: int, member: int | None = None) -> str:
    """The text of one version of the answer for one submission. The same arguments give the same text.

    :param member: the participant, if several handed in the submission together
    """
    choice = Random(f"{seed}:text:{submission_id}:{version}" + (f":{member}" if member else ""))
    first, second = choice.sample(range(1, 7), 2)
    sentences = [
        choice.choice(_OPENINGS),
        choice.choice(_MERITS).format(task=first),
        choice.choice(_FLAWS).format(task=second),
        choice.choice(_ENDINGS),
    ]
    note = f"Begrunnelsen gjelder besvarelse {submission_id}."
    if member:
        note += f" Deltaker {member}."
    if version > 1:
        note += f" Rettet utgave {version}."
    return " ".join(sentences) + "\n\n" + note
