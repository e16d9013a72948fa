"""Invented but plausible Norwegian names of institutions, courses and people."""

from __future__ import annotations

INSTITUTIONS = (
    ("Universitetet i Vestfjord", "uvf.no"),
    ("Høgskolen Dovrefjell", "hdovrefjell.no"),
    ("Nordlys universitet", "nordlys-uni.no"),
    ("Høgskulen i Sunnfjorden", "hsunnfjorden.no"),
    ("Universitetet i Storelvdal", "ustorelvdal.no"),
    ("Kystens høgskole", "kystens-hs.no"),
    ("Høgskolen Glomma", "hglomma.no"),
    ("Rondane vitenskapelige høgskole", "rondane-vh.no"),
    ("Universitetet i Saltfjorden", "usaltfjorden.no"),
    ("Høgskolen i Ryfylkeheiane", "hryfylkeheiane.no"),
    ("Viddas høgskole", "viddas-hs.no"),
    ("Skagerak universitet", "skagerak-uni.no"),
    ("Jotunheimen høgskole", "hjotunheimen.no"),
    ("Høgskolen Femundsmarka", "hfemundsmarka.no"),
    ("Universitetet i Lofotveggen", "ulofotveggen.no"),
    ("Setesdalsheiane høgskole", "hsetesdalsheiane.no"),
    ("Høgskulen på Stadlandet", "hstadlandet.no"),
    ("Hallingskarvet høgskole", "hhallingskarvet.no"),
    ("Universitetet i Varangerfjorden", "uvarangerfjorden.no"),
    ("Høgskolen Mjøsa", "hmjosa.no"),
)

COURSES = (
    ("DAT", "Algoritmer og datastrukturer"),
    ("MAT", "Matematisk analyse"),
    ("JUS", "Forvaltningsrett"),
    ("PSY", "Kognitiv psykologi"),
    ("SYK", "Sykepleiens faglige grunnlag"),
    ("ØKO", "Mikroøkonomi"),
    ("HIS", "Nordisk historie etter 1814"),
    ("BIO", "Cellebiologi"),
    ("FYS", "Mekanikk og varmelære"),
    ("PED", "Pedagogikk og elevkunnskap"),
    ("SOS", "Sosiologisk teori"),
    ("KJE", "Organisk kjemi"),
    ("NOR", "Språk og tekst"),
    ("STA", "Statistikk for samfunnsfag"),
    ("GEO", "Geologi og landskap"),
    ("MED", "Medier og demokrati"),
)

FIRST_NAMES = (
    "Åse", "Bjørn", "Camilla", "Dagfinn", "Eira", "Frøydis", "Guro", "Håkon", "Ingrid", "Jørgen", "Kari", "Lars",
    "Marit", "Njål", "Oda", "Pål", "Ragnhild", "Sæmund", "Tuva", "Ulrik", "Vilde", "Yngve", "Ylva", "Øystein",
    "Amina", "Samir", "Linh", "Mateusz", "Fatima", "Sunniva", "Torbjørn", "Solveig",
)  # fmt: skip
LAST_NAMES = (
    "Aasen", "Bakkerud", "Christoffersen", "Dalheim", "Eikeland", "Fjellheim", "Grønmo", "Hæggland", "Iversby",
    "Jørstad", "Kvåle", "Lønning", "Myrvang", "Næss", "Østbye", "Paulsrud", "Rødland", "Sæther", "Tveitan", "Ulvund",
    "Vågen", "Wikstrand", "Ytterdal", "Ødegård", "Ahmadi", "Nguyen", "Kowalczyk", "Haugsdal",
)  # fmt: skip

_PLAIN = str.maketrans({"æ": "ae", "ø": "o", "å": "a", " ": None})


def user_name(first_name: str, last_name: str, number: int) -> str:
    """A Feide user name without realm. The number makes it unique for people of the same name."""
    plain = f"{first_name}.{last_name}".lower().translate(_PLAIN)
    return f"{plain}{number}"
