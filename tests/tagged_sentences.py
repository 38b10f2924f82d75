"""Sentences with universal parts of speech, written and tagged for the tests: `word/TAG word/TAG …`."""

from jobs.demo.training.texts import TaggedSentence

_LINES = """
ar يقرأ/VERB الولد/NOUN كتابا/NOUN في/ADP المدرسة/NOUN ./PUNCT
ar وصل/VERB الرئيس/NOUN إلى/ADP المدينة/NOUN أمس/NOUN ./PUNCT
de Der/DET alte/ADJ Mann/NOUN liest/VERB eine/DET Zeitung/NOUN ./PUNCT
de Sie/PRON wohnt/VERB seit/ADP drei/NUM Jahren/NOUN in/ADP Berlin/PROPN ./PUNCT
en The/DET old/ADJ man/NOUN is/AUX reading/VERB a/DET newspaper/NOUN ./PUNCT
en She/PRON has/AUX lived/VERB in/ADP London/PROPN for/ADP three/NUM years/NOUN ./PUNCT
es El/DET hombre/NOUN lee/VERB un/DET libro/NOUN en/ADP la/DET casa/NOUN ./PUNCT
es Ella/PRON vive/VERB en/ADP Madrid/PROPN desde/ADP hace/VERB tres/NUM años/NOUN ./PUNCT
fi Poika/NOUN lukee/VERB kirjaa/NOUN koulussa/NOUN ./PUNCT
fi Hän/PRON asuu/VERB nyt/ADV Helsingissä/PROPN ./PUNCT
fr Le/DET vieil/ADJ homme/NOUN lit/VERB un/DET livre/NOUN ./PUNCT
fr Elle/PRON habite/VERB à/ADP Paris/PROPN depuis/ADP trois/NUM ans/NOUN ./PUNCT
hi लड़का/NOUN स्कूल/NOUN में/ADP किताब/NOUN पढ़ता/VERB है/AUX ।/PUNCT
hi वह/PRON दिल्ली/PROPN में/ADP रहती/VERB है/AUX ।/PUNCT
id Anak/NOUN itu/DET membaca/VERB buku/NOUN di/ADP sekolah/NOUN ./PUNCT
id Dia/PRON tinggal/VERB di/ADP Jakarta/PROPN ./PUNCT
ja 私/PRON は/ADP 本/NOUN を/ADP 読む/VERB 。/PUNCT
ja 彼/PRON は/ADP 東京/PROPN に/ADP 住ん/VERB で/SCONJ いる/AUX 。/PUNCT
ko 나는/PRON 어제/NOUN 새로운/ADJ 책을/NOUN 읽었다/VERB ./PUNCT
ko 아이들이/NOUN 학교에/NOUN 간다/VERB ./PUNCT
ru Старый/ADJ человек/NOUN читает/VERB новую/ADJ книгу/NOUN ./PUNCT
ru Она/PRON живёт/VERB в/ADP Москве/PROPN ./PUNCT
ta அவர்/PRON ஒரு/DET புத்தகம்/NOUN படித்தார்/VERB ./PUNCT
tr Çocuk/NOUN okulda/NOUN yeni/ADJ bir/DET kitap/NOUN okuyor/VERB ./PUNCT
tr O/PRON şimdi/ADV İstanbul'da/PROPN yaşıyor/VERB ./PUNCT
vi Tôi/PRON đọc/VERB một/NUM quyển/NOUN sách/NOUN ./PUNCT
vi Anh/NOUN ấy/PRON sống/VERB ở/ADP Hà Nội/PROPN ./PUNCT
zh 我/PRON 在/ADP 學校/NOUN 讀/VERB 書/NOUN 。/PUNCT
zh 他/PRON 是/AUX 一/NUM 個/NOUN 學生/NOUN 。/PUNCT
"""


def _read(line: str) -> TaggedSentence:
    language, _, rest = line.partition(" ")
    words, tags = [], []
    pending = ""
    for piece in rest.split(" "):
        word, slash, tag = piece.rpartition("/")
        if not slash:  # a word with a blank in it
            pending += piece + " "
            continue
        words.append(pending + word)
        tags.append(tag)
        pending = ""
    return TaggedSentence(language, tuple(words), tuple(tags))


TAGGED = [_read(line) for line in _LINES.strip().splitlines()]
