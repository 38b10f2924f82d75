"""A small sentencepiece model, trained in milliseconds, for tests that need no released file.

It has the released model's shape: unigram, `nmt_nfkc` normalisation, `<unk>` 0, `<s>` 1, `</s>` 2.
"""

import io
from pathlib import Path

import sentencepiece as spm

VOCAB_FILE_NAME = "sentencepiece.bpe.model"

SENTENCES = (
    "The river was high after three days of rain, and the lower road was closed.",
    "She reads the same newspaper every morning before the shop opens at eight.",
    "A small ship left the harbour with grain, timber and forty-two passengers.",
    "Nobody knew who had painted the door green, but everybody liked the colour.",
    "The library lends books for four weeks; films have to come back after one.",
    "If the train is late again, we will walk along the canal and talk.",
    "Der Zug nach Hamburg fährt heute von Gleis sieben ab, nicht von Gleis drei.",
    "Am Abend saßen die Nachbarn im Garten und sprachen über das Wetter.",
    "Das kleine Café an der Ecke verkauft frisches Brot und süßen Kuchen.",
    "Le marché ouvre à sept heures et ferme quand il n'y a plus de poisson.",
    "Elle a oublié ses clés sur la table de la cuisine, près de la fenêtre.",
    "Où est passé le garçon qui jouait du violon sous l'arbre ?",
    "La biblioteca está cerrada los lunes, pero el museo abre todo el día.",
    "¿Cuántos años tiene el puente que cruza el río detrás de la estación?",
    "El niño pequeño soñaba con una montaña de azúcar y un mar de leche.",
    "Il treno per Milano parte alle nove e arriva prima di mezzogiorno.",
    "O barco voltou ao porto com muitos peixes e pouca gente cansada.",
    "Река была высокой после трёх дней дождя, и нижняя дорога была закрыта.",
    "Каждое утро она читает газету, пока магазин ещё не открыт.",
    "Маленький корабль вышел из порта с зерном и деревом.",
    "Ο ποταμός ήταν ψηλός μετά από τρεις μέρες βροχή.",
    "Το μικρό καφενείο στη γωνία πουλάει ψωμί και γλυκά.",
    "كان النهر عاليا بعد ثلاثة أيام من المطر، وأغلق الطريق.",
    "تقرأ الجريدة نفسها كل صباح قبل أن يفتح المتجر.",
    "הנהר היה גבוה אחרי שלושה ימים של גשם.",
    "तीन दिन की बारिश के बाद नदी ऊँची थी और सड़क बंद थी।",
    "वह हर सुबह दुकान खुलने से पहले अख़बार पढ़ती है।",
    "তিন দিনের বৃষ্টির পর নদী উঁচু ছিল।",
    "ஆறு மூன்று நாள் மழைக்குப் பிறகு உயரமாக இருந்தது.",
    "แม่น้ำสูงหลังจากฝนตกสามวัน และถนนถูกปิด",
    "Con sông dâng cao sau ba ngày mưa, và con đường bị đóng.",
    "Nehir üç gün yağmurdan sonra yükseldi ve aşağıdaki yol kapandı.",
    "Küçük gemi limandan buğday ve kereste ile ayrıldı.",
    "Mto ulikuwa juu baada ya siku tatu za mvua, na barabara ilifungwa.",
    "三天的雨之后，河水很高，下面的路关闭了。",
    "她每天早上在商店开门之前读同一份报纸。",
    "小船带着粮食和木材离开了港口。",
    "三日間の雨の後、川は高くなり、下の道は閉鎖された。",
    "彼女は毎朝、店が開く前に同じ新聞を読みます。",
    "ちいさなフネがミナトをでました。",
    "사흘 동안 비가 온 뒤 강물이 높아졌고 길이 막혔다.",
    "그녀는 가게가 열기 전에 매일 아침 신문을 읽는다.",
    "0123456789 1,024 3.14 50% $7 (a) [b] {c} <d> \"e\" 'f' g/h i_j k@l #m n&o p+q = r* s~ t|",
    "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ",
)


def write_tiny_sentencepiece(directory: Path, vocab_size: int = 600) -> Path:
    """Trains on the sentences above and writes `sentencepiece.bpe.model`; returns its path.

    The same call writes the same bytes. The sentences hold 423 characters, so `vocab_size` lies
    in [430, 650]. The tokenizer on it has `vocab_size + 2` entries: `<pad>` and `<mask>` on top.
    """
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=model,
        model_type="unigram",
        vocab_size=vocab_size,
        character_coverage=1.0,
        normalization_rule_name="nmt_nfkc",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / VOCAB_FILE_NAME
    path.write_bytes(model.getvalue())
    return path
