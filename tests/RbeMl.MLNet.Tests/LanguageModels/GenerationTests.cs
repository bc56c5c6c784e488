using Microsoft.ML;
using RbeMl.MLNet.LanguageModels;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.LanguageModels;

public sealed class GenerationTests : IDisposable
{
    private readonly MLContext _ml = new(1);
    private readonly ModelBundle _bundle = Verses.Bundle(CharacterTokenizer.FromText(string.Concat(Verses.Lines())));

    public void Dispose() => _bundle.Dispose();

    [Fact]
    public void WithoutTemperatureItIsTheGeneratorsText()
    {
        // The second text is longer than the model's positions.
        string[] texts = ["the cat", "the owl sat on the hen on the cat"];
        using Generator generator = new(_bundle.Model, threads: 1);
        IEnumerable<string> expected =
            texts.Select(t =>
                _bundle.Tokenizer!.Decode([.. generator.Generate(_bundle.Tokenizer.Encode(t), new GenerationOptions { MaxTokens = 6, Temperature = 0 })]));
        Assert.Equal(expected, Score(o => o.Temperature = 0).Texts(Verses.View(_ml, texts)));
    }

    [Fact]
    public void ARowsTextDependsOnSeedAndTextOnly()
    {
        string[] lines = Verses.Lines(8);
        LanguageModelTransformer model = Score();
        string[] together = model.Texts(Verses.View(_ml, lines));
        for (int i = 0; i < lines.Length; i++) Assert.Equal(together[i], model.Texts(Verses.View(_ml, lines[i])).Single());
        Assert.Equal(together.Reverse(), model.Texts(Verses.View(_ml, [.. lines.Reverse()])));
        Assert.Equal([together[0], together[0]], model.Texts(Verses.View(_ml, lines[0], lines[0])));
        Assert.Equal(together, Score(o => o.Threads = 2).Texts(Verses.View(_ml, lines)));
        Assert.NotEqual(together, Score(o => o.Seed = 4).Texts(Verses.View(_ml, lines)));
    }

    [Fact]
    public void EverySettingHasItsEffect()
    {
        string[] lines = Verses.Lines(8);
        string[] plain = Texts();
        Assert.All(plain, t => Assert.Equal(6, t.Length));
        Assert.All(Texts(o => o.MaxNewTokens = 11), t => Assert.Equal(11, t.Length));
        Assert.Equal(plain, Texts(o => o.MaxNewTokens = 11).Select(t => t[..6]));
        string[] likeliest = Texts(o => o.Temperature = 0);
        Assert.NotEqual(plain, likeliest);
        Assert.Equal(likeliest, Texts(o => o.TopK = 1));
        Assert.Equal(likeliest, Texts(o => (o.TopK, o.TopP) = (0, 1e-6)));
        Assert.NotEqual(plain, Texts(o => o.TopK = 2));
        Assert.NotEqual(plain, Texts(o => o.TopP = 0.2));
        Assert.NotEqual(plain, Texts(o => o.Temperature = 5));
        Assert.Equal(likeliest, Texts(o => o.MinP = 1));
        Assert.NotEqual(plain, Texts(o => o.RepetitionPenalty = 3));
        Assert.Equal(plain.Select(t => t.Split('a')[0]), Texts(o => o.StopStrings = ["a"]).Select(t => t ?? ""));
        int a = _bundle.Tokenizer!.Encode("a")[0];
        Assert.Contains(plain, t => t.Contains('a'));
        Assert.Equal(plain.Select(t => t.Split('a')[0]), Texts(o => o.EndTokens = [a]).Select(t => t ?? ""));
        Assert.Equal(plain, Texts(o => (o.EndTokens, o.IgnoreEnd) = ([a], true)));

        string[] Texts(Action<LanguageModelOptions>? change = null) => Score(change).Texts(Verses.View(_ml, lines));
    }

    [Fact]
    public void TheSettingsAreSavedAndBadOnesRefused()
    {
        LanguageModelTransformer model =
            Score(o => (o.MinP, o.RepetitionPenalty, o.StopStrings, o.EndTokens, o.IgnoreEnd) = (0.1, 1.5, ["a", "bc"], [1, 2], true));
        using MemoryStream stream = new();
        model.Save(stream);
        stream.Position = 0;
        LanguageModelTransformer again = _ml.Rbe.LoadLanguageModel(stream);
        GenerationOptions saved = again.Settings.Generation;
        Assert.Equal((0.1, 1.5, true), (saved.MinP, saved.RepetitionPenalty, saved.IgnoreEnd));
        Assert.Equal(["a", "bc"], saved.StopStrings);
        Assert.Equal([1, 2], saved.EndTokens!);
        Assert.Equal(model.Texts(Verses.View(_ml)), again.Texts(Verses.View(_ml)));
        Refuses("MinP", o => o.MinP = -1);
        Refuses("RepetitionPenalty", o => o.RepetitionPenalty = 0);
        Refuses("StopStrings", o => o.StopStrings = [""]);
        Refuses("StopStrings", o => o.StopStrings = null!);
        Refuses("EndTokens", o => o.EndTokens = [-1]);
        Refuses("EndTokens", o => o.EndTokens = [100_000]);

        void Refuses(string setting, Action<LanguageModelOptions> change) =>
            Assert.Equal(setting, Assert.Throws<InvalidSettingException>(() => Score(change)).Setting);
    }

    private LanguageModelTransformer Score(Action<LanguageModelOptions>? change = null) => Verses.Score(_ml, _bundle, change);
}
