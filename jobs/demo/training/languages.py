"""The languages that the demo model identifies, with their codes in the training data.

They are those of the sample. Each has at least 19,000 characters: the sentences of SIB-200 and a translation of
the Universal Declaration of Human Rights.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """A label of the `language` head.

    Attributes:
        code: BCP 47, the label.
        sib: codes in SIB-200, which are those of FLORES-200.
        udhr: translations of the Universal Declaration of Human Rights, by their ids.
        is_spaced: whether words are separated by blanks.
    """

    code: str
    sib: tuple[str, ...]
    udhr: tuple[str, ...]
    is_spaced: bool = True


# code, name, SIB-200, UDHR
_SPACED = """
af Afrikaans afr_Latn afr
am Amharic amh_Ethi amh
ar Arabic arb_Arab arb
az Azerbaijani azj_Latn azj_latn
be Belarusian bel_Cyrl bel
bg Bulgarian bul_Cyrl bul
bn Bengali ben_Beng ben
ca Catalan cat_Latn cat
cs Czech ces_Latn ces
cy Welsh cym_Latn cym
da Danish dan_Latn dan
de German deu_Latn deu_1996
el Greek ell_Grek ell_monotonic
en English eng_Latn eng
eo Esperanto epo_Latn epo
es Spanish spa_Latn spa
et Estonian est_Latn est
eu Basque eus_Latn eus
fa Persian pes_Arab pes_1
fi Finnish fin_Latn fin
fr French fra_Latn fra
ga Irish gle_Latn gle
gu Gujarati guj_Gujr guj
ha Hausa hau_Latn hau_NG,hau_NE
he Hebrew heb_Hebr heb
hi Hindi hin_Deva hin
hr Croatian hrv_Latn hrv
hu Hungarian hun_Latn hun
hy Armenian hye_Armn hye
id Indonesian ind_Latn ind
is Icelandic isl_Latn isl
it Italian ita_Latn ita
ka Georgian kat_Geor kat
kk Kazakh kaz_Cyrl kaz
kn Kannada kan_Knda kan
ko Korean kor_Hang kor
lt Lithuanian lit_Latn lit
lv Latvian lvs_Latn lav
mk Macedonian mkd_Cyrl mkd
ml Malayalam mal_Mlym mal,mal_chillus
mn Mongolian khk_Cyrl khk
mr Marathi mar_Deva mar
nb Norwegian nob_Latn nob
ne Nepali npi_Deva nep
nl Dutch nld_Latn nld
pa Punjabi pan_Guru pan
pl Polish pol_Latn pol
pt Portuguese por_Latn por_BR,por_PT
ro Romanian ron_Latn ron_2006
ru Russian rus_Cyrl rus
si Sinhala sin_Sinh sin
sk Slovak slk_Latn slk
sl Slovenian slv_Latn slv
so Somali som_Latn som
sq Albanian als_Latn als
sr Serbian srp_Cyrl srp_cyrl
sv Swedish swe_Latn swe
sw Swahili swh_Latn swh
ta Tamil tam_Taml tam,tam_LK
te Telugu tel_Telu tel
tl Tagalog tgl_Latn tgl
tr Turkish tur_Latn tur
uk Ukrainian ukr_Cyrl ukr
ur Urdu urd_Arab urd,urd_2
vi Vietnamese vie_Latn vie
zu Zulu zul_Latn zul
"""
_UNSPACED = """
ja Japanese jpn_Jpan jpn
km Khmer khm_Khmr khm
lo Lao lao_Laoo lao
my Burmese mya_Mymr mya
th Thai tha_Thai tha,tha2
zh Chinese zho_Hans,zho_Hant cmn_hans,cmn_hant
"""


def _read(lines: str, *, is_spaced: bool) -> list[Language]:
    languages = []
    for line in lines.strip().splitlines():
        code, _, sib, udhr = line.split()
        languages.append(Language(code, tuple(sib.split(",")), tuple(udhr.split(",")), is_spaced))
    return languages


LANGUAGES = sorted(_read(_SPACED, is_spaced=True) + _read(_UNSPACED, is_spaced=False), key=lambda x: x.code)
"""Sorted by code: the order of the labels."""
BY_CODE = {language.code: language for language in LANGUAGES}
POS_LANGUAGES = ("ar", "de", "en", "es", "fi", "fr", "hi", "id", "ja", "ko", "ru", "ta", "tr", "vi", "zh")
POS_TAGS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART"),
    *("PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
POS_LABELS = tuple(f"{prefix}-{tag}" for tag in POS_TAGS for prefix in "BI")
"""B for the first token of a word and I for the others, so that the head also finds word boundaries."""
