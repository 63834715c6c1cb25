"""What a Vision Transformer should not be used for, in few words, shown where it matters."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Caution:
    """One use to be careful about: what it is, why, and what to do instead."""

    topic: str
    why: str
    instead: str

    def as_json(self) -> dict[str, str]:
        """All fields as plain JSON values."""
        return asdict(self)


UNLIKE = Caution(
    "Images unlike the training images",
    "The figures on this page hold for images that come from the same source: same devices, same places, same "
    "kind of subject. On images from far away the model still answers, often with high confidence, and is often "
    "wrong.",
    "Measure again on a few hundred labelled images from the new source before trusting it there.",
)
RIGHTS = Caution(
    "Decisions about people's health or rights",
    "A score is not a diagnosis and not a judgement. Where the law asks for the reasons of a decision, attention "
    "maps do not give them: they show where the model looked, not why it decided.",
    "Let a responsible person decide, with the image in view; where reasons are required, use a method whose "
    "reasons can be read.",
)
PERSONS = Caution(
    "Recognising persons",
    "The model was not made or tested to tell who somebody is, and in many places that use is forbidden or needs "
    "permission.",
    "Do not train it on identities, and do not use its features to find a person again.",
)
REAL_TIME = Caution(
    "Hard real time",
    "The time for one image varies with load, device and image size. Nothing here guarantees an answer within a "
    "deadline.",
    "Where a late answer does harm, use a system with a guaranteed deadline and keep this one as an adviser.",
)

CAUTIONS = (UNLIKE, RIGHTS, PERSONS, REAL_TIME)
"""In the order in which they most often matter."""

HEALTH = Caution(
    "A diagnosis without a doctor",
    "This is no medical device: its figures come from the images of one collection, not from a clinical trial, and it "
    "sees a picture, not a patient. It must answer with one of its classes, also where none of them is true. "
    "Attention maps show where it looked, not why it decided.",
    "Let a doctor decide with the image in view, and test it on patients of the place where it would be used.",
)
LOOKS = Caution(
    "Judging people by their looks",
    "What a face or a body seems to say of age, sex, origin, feelings or character is a guess, wrong more often for "
    "some groups than for others, and in many places it is forbidden to act on it.",
    "Do not decide on a person, or tell persons apart, by these answers; ask the person.",
)
JUDGEMENTS = Caution(
    "A decision that somebody may ask the reasons of",
    "Nothing here gives reasons that would stand before a court or an authority: attention maps show where the model "
    "looked, not why it decided.",
    "Let a responsible person decide and give the reasons; where the law asks for them, use a method whose reasons can "
    "be read.",
)
MACHINES = Caution(
    "Steering something that can do harm",
    "The time for one image varies with load, device and image size, and nothing here guarantees an answer within a "
    "deadline, or that a dangerous mistake is a rare one.",
    "Where a late or wrong answer does harm, use a system with a guaranteed deadline and keep this one as an adviser.",
)

UNTESTED = {
    "quality": "How often it is right",
    "robustness": "Blurred, noisy, darkened or deliberately altered images",
    "fairness": "Whether it is right as often for every group: sex, age, place, device",
    "shift": "Whether these images are like those that it was trained on",
    "attention": "Whether it looks at what matters, or at something beside it",
}
"""What is not known of a model where an evaluation was not done."""

ELSEWHERE = "Images from elsewhere: other devices, other places, other times"


@dataclass(frozen=True)
class _Task:
    """A kind of task: what is said of it, instead of which general caution, and words that are a sign of it."""

    caution: Caution
    instead_of: Caution
    in_classes: str
    in_columns: str = ""


TASKS = (
    _Task(
        HEALTH,
        RIGHTS,
        "abnormal adenocarcinoma akiec aneurysm arthritis atelectasis bcc benign biopsy cancer carcinoma cardiomegaly "
        "cataract covid cyst dermatofibroma diabetic diagnosis diagnoses edema effusion emphysema fibrosis fracture "
        "glaucoma glioma haemorrhage hemorrhage infarct keratosis lesion leukaemia leukemia lymphoma malignant mel "
        "melanoma meningioma metastasis metastatic naevus nevus nodule noncovid oedema pathological pathology patient "
        "pneumonia pneumothorax polyp psoriasis retinopathy sarcoma scc sepsis syndrome tb tuberculosis tumor tumour",
        "biopsy diagnosis disease lesion pathology patient symptom treatment",
    ),
    _Task(
        LOOKS,
        PERSONS,
        "age angry beard boy child eyeglasses emotion ethnicity face facial female gender girl happy hijab identity "
        "lady male man men moustache mustache nationality people person race religion sad selfie sex smile smiling "
        "woman women",
        "emotion face facial identity",
    ),
    _Task(
        JUDGEMENTS,
        RIGHTS,
        "approved arrest asylum convicted credit creditworthy criminal denied eligible forged forgery fraud fraudulent "
        "guilty ineligible innocent insurance loan offender rejected suspect theft trespasser weapon",
    ),
    _Task(
        MACHINES,
        REAL_TIME,
        "brake bicycle collision crosswalk cyclist lane motorcycle obstacle pedestrian runway traffic truck vehicle",
    ),
    _Task(RIGHTS, RIGHTS, "", "age ethnicity gender nationality race religion sex"),
)
"""The last is about images of people, whatever is asked of them."""


@dataclass(frozen=True)
class TaskCaution:
    """What a model must not be used for, and why that is said of this one.

    Attributes:
        caution: see there.
        because: the class or attribute that hints at it; None where it holds for every model.
    """

    caution: Caution
    because: str | None

    def as_json(self) -> dict[str, str | None]:
        """All fields as plain JSON values."""
        return {**self.caution.as_json(), "because": self.because}


def cautions_for(classes: Sequence[str], attributes: Iterable[str] = ()) -> tuple[TaskCaution, ...]:
    """What to be careful about with a model of these classes: what its task asks for first, then what always holds.

    The hints are words in the names of classes and attributes, nothing more: whoever calls a tumour `class 1` is told
    what holds for every model. A caution for the task replaces the general one of its kind.

    >>> [each.caution.topic for each in cautions_for(["benign", "malignant"])][0]
    'A diagnosis without a doctor'

    Args:
        classes: names of the classes.
        attributes: names of columns beside the images: `sex`, `age`.
    """
    fitting = [(task, because) for task in TASKS if (because := _hint(task, classes, attributes)) is not None]
    replaced = {task.instead_of for task, _ in fitting if task.caution != task.instead_of}
    told = [TaskCaution(task.caution, because) for task, because in fitting if task.caution not in replaced]
    said = {each.caution for each in told}
    return (*told, *(TaskCaution(caution, None) for caution in CAUTIONS if caution not in replaced | said))


def _hint(task: _Task, classes: Iterable[str], attributes: Iterable[str]) -> str | None:
    for kind, names, words in (("class", classes, task.in_classes), ("column", attributes, task.in_columns)):
        signs = set(words.split())
        for name in names:
            if not signs.isdisjoint(_parts(name)):
                return f"a {kind} is called “{name}”"
    return None


def _parts(name: str) -> Iterator[str]:
    """The words in a name, also those of `CT_NonCOVID` and `DiabeticRetinopathy`, and singulars of plurals."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)
    for text in (name, spaced):
        for word in re.findall(r"[^\W\d_]+\d*", text.lower()):
            yield word
            yield word.rstrip("0123456789")
            yield word.removesuffix("s")
