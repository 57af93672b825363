"""The advertisements of the season, by the category on whose pages they are shown."""

from collections.abc import Mapping, Sequence

from ..catalog.contract import Category
from .contract import Ad

# Whoever looks at one thing may want what goes with it: each leads out of the category that it is shown in.
CAMPAIGN: Mapping[Category, Sequence[Ad]] = {
    Category.KITCHEN: (
        Ad("reading-lamp", "The pot is full and the chapter is long: there is a lamp for that."),
        Ad("holiday-cards", "Coffee for one, news for six. Postcards, a dozen in a box."),
        Ad("cornflower-seeds", "Something blue for the window behind the kettle."),
    ),
    Category.HOME: (
        Ad("midnight-teapot", "A blanket, a lamp, and one thing missing: four cups with stars on."),
        Ad("window-plant", "A friend for the window sill that never says the wrong thing."),
        Ad("tide-tables", "For the last chapter: when the water comes, and when it goes."),
    ),
    Category.WEAR: (
        Ad("storm-kite", "Dressed for a force four? Then hold on to this."),
        Ad("field-notebook", "Fits the pocket of every coat we ever made."),
        Ad("porch-lantern", "For the way home in that umbrella's weather."),
    ),
    Category.PAPER: (
        Ad("unhurried-clock", "Letters take as long as they take. So does this clock."),
        Ad("library-tote", "You have read this far. You will need a bag."),
        Ad("cedar-candle", "Forty hours of light, which is about one novel."),
    ),
    Category.GARDEN: (
        Ad("picnic-hat", "The garden grows by itself. Sit in it, under this."),
        Ad("lemonade-bottle", "For whoever has dug all morning: thick glass, cold lemonade."),
        Ad("garden-ball", "What the orchard is for between the harvests."),
    ),
    Category.PLAY: (
        Ad("odd-socks", "Half of the socks that play loses. They never matched."),
        Ad("olive-board", "After the boat race: bread, cheese, and a board that stays dry."),
        Ad("nap-cushion", "For the one who was told to watch the children."),
    ),
}
