"""What the tables T3 to T6 show of each family of attacks, and what has to be said below them."""

from leakbench.metrics.decision import ALARMS, deciding

LEAKAGE = {
    "gradient": (
        "T3",
        "Gradient matching",
        (
            ("trained.ssim", "SSIM to the victim's image"),
            ("trained.ssim.best", "best image's SSIM"),
            ("trained.psnr", "PSNR (dB)"),
            ("trained.identification", "identified"),
            ("labels.accuracy", "labels found"),
            ("private.ssim", "SSIM to private"),
            ("source.identification", "source identified"),
            ("linked.statistics", "source first by statistics"),
            ("linked.features", "source first by features"),
        ),
    ),
    "memorization": (
        "T4",
        "Model memorization",
        (
            ("trained.ssim", "SSIM to the training image"),
            ("trained.mae", "pixel error (of 255)"),
            ("trained.lpips", "LPIPS"),
            ("trained.bit-errors", "bits wrong"),
            ("trained.identification", "identified"),
            ("private.ssim", "SSIM to private"),
            ("source.mae", "pixel error to source"),
            ("source.identification", "source identified"),
            ("linked.statistics", "source first by statistics"),
            ("model.accuracy", "accuracy, %"),
            ("honest.accuracy", "accuracy without attacker, %"),
            ("model.cost", "accuracy cost, points"),
        ),
    ),
    "gan": (
        "T5",
        "GAN-based",
        (
            ("class.oracle", "oracle accuracy"),
            ("trained.class", "nearest released of the class"),
            ("class.precision", "precision"),
            ("class.recall", "recall"),
            ("class.frechet", "Fréchet distance to members / holdout / another class"),
            ("class.kernel", "kernel distance, likewise"),
            ("private.ssim", "SSIM to private"),
            ("private.statistics", "likeness of statistics to private"),
        ),
    ),
    "membership": (
        "T6",
        "Membership and linkage",
        (
            ("members.auc", "AUC"),
            ("members.tpr-at-1", "TPR at 1 % FPR"),
            ("members.tpr-at-0.1", "TPR at 0.1 % FPR"),
            ("members.tp-at-0-fpr", "members before every other"),
            ("members.balanced-accuracy", "balanced accuracy"),
            ("members.epsilon", "epsilon is at least"),
            ("linkage.top-1", "source ranked first"),
            ("linkage.top-10", "source among the first 10"),
            ("linkage.top-1-of-100", "first of 100"),
        ),
    ),
}
LEAKAGE_NOTES = (
    "What has three parts reads: attack / control / baseline, then the excess of attack over control with its "
    "interval, at 95 % or, of what decides whether members leak, as the records say. Control: another released image "
    "of the class (trained), as many holdout images (private), a federation whose other clients never train or an "
    "untrained student (class), chance (AUC, identification). Baseline: the class's mean auxiliary image, one over the "
    "number of classes, or a score that knows nothing of the release. Members leak where the excess of a measurement "
    "on members that decides is above 0.",
    "'Worked' asks whether the attack got what its victim trained on; 'members leak' whether that gives away the "
    "private images. 'Not validated': the attack did not succeed on identity, or raised an alarm on disjoint, so its "
    "measurement proves nothing.",
)


LINKED_NOTE = (
    "'Source first': the private image behind a client's comes first of its class among all members, as a network sees "
    "a reconstruction (the teacher where it counts as published, else one of the attacker's own). Baseline: where the "
    "attacked released image itself leads, above which alone the attack adds anything to the release."
)
DECIDING = len(deciding("members"))
MEMBERSHIP_NOTES = (
    "The excesses of AUC, true positive rates, members before every other, epsilon and source ranked first are at "
    f"a level of 1 - {ALARMS:g}/{DECIDING}, because any of these {DECIDING} may say that members leak; an AUC below "
    "chance says so as well as one above. "
    "Baseline: the distance to the nearest auxiliary image, or the candidates nearest in pixels.",
    "Epsilon: what these scores rule out, at 95 % confidence, for replacing one image by another or, where it says so, "
    "for adding or removing one; 'if Gaussian': of a mechanism whose trade-off curve is that of one Gaussian "
    "mechanism, as the claim says (arXiv 2410.22235); 'contradicted' where it is above what the defense claims. A "
    "bound of 0 rules out nothing, and is no promise; a claim is not comparable if it is for other neighbours, or the "
    "attack is not validated. Of canaries the attack tosses the coins: their rows tell of the defense, not of these "
    "members.",
    "Adjusted p: the chance of as loud a row where nothing leaks, of all that decide together (Bonferroni), adjusted "
    "for all rows of defenses under test (Benjamini and Hochberg); n/a in records that have no p-values.",
)
MEMORIZATION_NOTES = (
    "Accuracy is that of the model as handed out, after whatever was done to it; without attacker: the same training "
    "and sanitizing by the same seeds and honest code; the cost is their difference. Two trainings differ by chance as "
    "well, which the interval, paired over test images, does not see; with several seeds it is over them.",
    "Attackers do not adapt to a sanitizing unless their parameters say so. An attack's power is shown where nobody "
    "sanitizes the model. Errors of gray images are those of their luma. 'Bits wrong' is given where bits are stored.",
)


VOID = (
    "Claims are those of the mechanisms. What a run makes follows from known seeds, so that it can be repeated, and "
    "its own claims are void: what is to be published is made by `leakbench synthesize`."
)
MORE_NOTES = {"memorization": MEMORIZATION_NOTES, "membership": MEMBERSHIP_NOTES}
