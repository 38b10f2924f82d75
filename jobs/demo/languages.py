"""The languages that the demo model tells apart, and where each is found in the training data.

Left out are languages that share their words with a larger neighbour (Bosnian, Malay, Nynorsk, Asturian, the
Arabic dialects, …): from a few hundred sentences nobody can tell them apart.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """A label of the `language` head.

    Attributes:
        code: BCP 47, the label.
        name: in English.
        sib: codes in SIB-200, which are those of FLORES-200.
        udhr: translations of the Universal Declaration of Human Rights, by their ids.
        is_spaced: whether blanks part words.
    """

    code: str
    name: str
    sib: tuple[str, ...]
    udhr: tuple[str, ...]
    is_spaced: bool = True


# code, name, SIB-200, UDHR
_SPACED = """
af Afrikaans afr_Latn afr
am Amharic amh_Ethi amh
ar Arabic arb_Arab arb
ay Aymara ayr_Latn ayr
az Azerbaijani azj_Latn azj_latn
be Belarusian bel_Cyrl bel
bg Bulgarian bul_Cyrl bul
bn Bengali ben_Beng ben
ca Catalan cat_Latn cat
ceb Cebuano ceb_Latn ceb
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
fj Fijian fij_Latn fij
fo Faroese fao_Latn fao
fr French fra_Latn fra
ga Irish gle_Latn gle
gd Scottish_Gaelic gla_Latn gla
gl Galician glg_Latn glg
gn Guarani grn_Latn gug
gu Gujarati guj_Gujr guj
ha Hausa hau_Latn hau_NG,hau_NE
he Hebrew heb_Hebr heb
hi Hindi hin_Deva hin
hr Croatian hrv_Latn hrv
ht Haitian_Creole hat_Latn hat_popular,hat_kreyol
hu Hungarian hun_Latn hun
hy Armenian hye_Armn hye
id Indonesian ind_Latn ind
ig Igbo ibo_Latn ibo
ilo Ilocano ilo_Latn ilo
is Icelandic isl_Latn isl
it Italian ita_Latn ita
jv Javanese jav_Latn jav
ka Georgian kat_Geor kat
kk Kazakh kaz_Cyrl kaz
kn Kannada kan_Knda kan
ko Korean kor_Hang kor
ku Kurmanji kmr_Latn kmr
ky Kyrgyz kir_Cyrl kir
lb Luxembourgish ltz_Latn ltz
lg Ganda lug_Latn lug
ln Lingala lin_Latn lin
lt Lithuanian lit_Latn lit
lv Latvian lvs_Latn lav
mg Malagasy plt_Latn plt
mi Maori mri_Latn mri
mk Macedonian mkd_Cyrl mkd
ml Malayalam mal_Mlym mal,mal_chillus
mn Mongolian khk_Cyrl khk
mr Marathi mar_Deva mar
mt Maltese mlt_Latn mlt
nb Norwegian nob_Latn nob
ne Nepali npi_Deva nep
nl Dutch nld_Latn nld
ny Chewa nya_Latn nya_chechewa,nya_chinyanja
oc Occitan oci_Latn lnc
om Oromo gaz_Latn gax
pa Punjabi pan_Guru pan
pl Polish pol_Latn pol
ps Pashto pbt_Arab pbu
pt Portuguese por_Latn por_BR,por_PT
qu Quechua quy_Latn quy,quz
ro Romanian ron_Latn ron_2006
ru Russian rus_Cyrl rus
rw Kinyarwanda kin_Latn kin
sa Sanskrit san_Deva san
si Sinhala sin_Sinh sin
sk Slovak slk_Latn slk
sl Slovenian slv_Latn slv
sm Samoan smo_Latn smo
sn Shona sna_Latn sna
so Somali som_Latn som
sq Albanian als_Latn als
sr Serbian srp_Cyrl srp_cyrl
st Sotho sot_Latn sot
su Sundanese sun_Latn sun
sv Swedish swe_Latn swe
sw Swahili swh_Latn swh
ta Tamil tam_Taml tam,tam_LK
te Telugu tel_Telu tel
tg Tajik tgk_Cyrl tgk
ti Tigrinya tir_Ethi tir
tk Turkmen tuk_Latn tuk_latn
tl Tagalog tgl_Latn tgl
tr Turkish tur_Latn tur
tt Tatar tat_Cyrl tat
ug Uyghur uig_Arab uig_arab
uk Ukrainian ukr_Cyrl ukr
ur Urdu urd_Arab urd,urd_2
uz Uzbek uzn_Latn uzn_latn
vi Vietnamese vie_Latn vie
wo Wolof wol_Latn wol
yi Yiddish ydd_Hebr ydd
yo Yoruba yor_Latn yor
zu Zulu zul_Latn zul
"""
_UNSPACED = """
bo Tibetan bod_Tibt bod
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
        code, name, sib, udhr = line.split()
        languages.append(
            Language(code, name.replace("_", " "), tuple(sib.split(",")), tuple(udhr.split(",")), is_spaced)
        )
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
"""B for the first piece of a word and I for the others, so that the head finds the words as well."""
