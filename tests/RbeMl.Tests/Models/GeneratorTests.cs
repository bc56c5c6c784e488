using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Training;

namespace RbeMl.Tests.Models;

public class GeneratorTests
{
    private static readonly float[] s_logits = [0f, 3f, 1f, 2f, -1f, -60f, -60f, -60f, -60f, -60f, -60f];

    [Fact]
    public void Temperature_zero_takes_the_most_likely_token() => Assert.All(Draws(new GenerationOptions { Temperature = 0 }), t => Assert.Equal(1, t));

    [Fact]
    public void Top_k_keeps_the_k_most_likely() => Assert.Equal([1, 3], Draws(new GenerationOptions { TopK = 2 }).Distinct().Order());

    [Fact]
    public void Top_p_keeps_the_fewest_that_reach_p()
    {
        // softmax: 0.032, 0.638, 0.086, 0.235, 0.012
        Assert.Equal([1], Draws(new GenerationOptions { TopP = 0.5 }).Distinct());
        Assert.Equal([1, 3], Draws(new GenerationOptions { TopP = 0.8 }).Distinct().Order());
        Assert.Equal([1, 2, 3], Draws(new GenerationOptions { TopP = 0.95 }).Distinct().Order());
    }

    [Fact]
    public void Min_p_keeps_what_is_that_part_as_likely_as_the_likeliest()
    {
        // 0.032, 0.638, 0.086, 0.235, 0.012 of 0.638: 0.05, 1, 0.135, 0.368, 0.018
        Assert.Equal([1], Draws(new GenerationOptions { MinP = 0.5 }).Distinct());
        Assert.Equal([1, 3], Draws(new GenerationOptions { MinP = 0.3 }).Distinct().Order());
        Assert.Equal([1, 2, 3], Draws(new GenerationOptions { MinP = 0.1 }).Distinct().Order());
        Assert.Equal([1, 3], Draws(new GenerationOptions { MinP = 0.1, TopK = 2 }).Distinct().Order());
        Assert.Equal([1, 3], Draws(new GenerationOptions { MinP = 0.1, TopP = 0.8 }).Distinct().Order());
    }

    /// <summary>Frequencies of 4000 draws against the softmax: five standard deviations of a binomial count.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(0.5)]
    public void Draws_follow_the_softmax_at_the_temperature(double temperature)
    {
        int[] draws = Draws(new GenerationOptions { Temperature = temperature });
        double sum = s_logits.Sum(l => Math.Exp(l / temperature));
        for (int t = 0; t < 5; t++)
        {
            double p = Math.Exp(s_logits[t] / temperature) / sum;
            Assert.InRange(draws.Count(d => d == t), (4000 * p) - (5 * Math.Sqrt(4000 * p * (1 - p))) - 1,
                (4000 * p) + (5 * Math.Sqrt(4000 * p * (1 - p))) + 1);
        }
    }

    [Fact]
    public void The_same_seed_gives_the_same_text_and_generation_goes_beyond_the_positions()
    {
        TransformerModel<float> model = TrainerTests.Model(); // 16 positions
        int[] a = Generate(1, 1), b = Generate(1, 2), c = Generate(2, 1);
        Assert.Equal(50, a.Length);
        Assert.Equal(a, b);
        Assert.NotEqual(a, c);
        Assert.All(a, t => Assert.InRange(t, 0, 10));

        int[] Generate(ulong seed, int threads)
        {
            using Generator generator = new(model, threads);
            return [.. generator.Generate([1, 2, 3], new GenerationOptions { MaxTokens = 50, Seed = seed })];
        }
    }

    [Fact]
    public void A_cached_draw_equals_one_without_a_cache()
    {
        TransformerModel<float> model = TrainerTests.Model();
        using Generator generator = new(model, 1);
        using Workspace<float> workspace = new(1);
        List<int> tokens = [1, 2, 3];
        foreach (int next in generator.Generate([1, 2, 3], new GenerationOptions { MaxTokens = 10, Temperature = 0 }))
        {
            float[] logits = new float[11];
            model.LastLogits(tokens.ToArray(), 1, tokens.Count, workspace, null, logits);
            Assert.Equal(Array.IndexOf(logits, logits.Max()), next);
            tokens.Add(next);
        }
    }

    [Fact]
    public void Beyond_the_positions_exactly_the_newer_half_is_read_again()
    {
        using TransformerModel<float> model = TrainerTests.Model(); // 16 positions, all used by the prompt
        foreach (ParameterSlice slice in model.Parameters.Slices.Where(s => s.Kind is ParameterKind.Embedding or ParameterKind.Coefficient))
        {
            foreach (ref float value in model.Parameters.Of(slice)) value *= 15; // so that what comes next depends on all that is read
        }

        using Generator generator = new(model, 1);
        using Workspace<float> workspace = new(1);
        GenerationOptions options = new() { MaxTokens = 2, Temperature = 0 };
        int less = 0, more = 0;
        for (int start = 0; start < 40; start++)
        {
            List<int> tokens = [.. Enumerable.Range(0, 16).Select(i => (start + i) * (start + i + 3) * (i + 5) % 11)];
            int[] drawn = [.. generator.Generate(tokens, options)];
            Assert.Equal(Best(tokens), drawn[0]);
            tokens.Add(drawn[0]);
            Assert.Equal(Best(tokens.TakeLast(8)), drawn[1]);
            less += Best(tokens.TakeLast(7)) != drawn[1] ? 1 : 0;
            more += Best(tokens.TakeLast(9)) != drawn[1] ? 1 : 0;
        }

        Assert.True(less > 0 && more > 0, "no text tells whether one token less or more was read");

        int Best(IEnumerable<int> tokens)
        {
            int[] ids = [.. tokens];
            float[] logits = new float[11];
            model.LastLogits(ids, 1, ids.Length, workspace, null, logits);
            return Array.IndexOf(logits, logits.Max());
        }
    }

    [Fact]
    public void Each_text_has_the_cache_format_that_was_asked_for()
    {
        using TransformerModel<float> model = TrainerTests.Model();
        using Generator used = new(model, 1);
        foreach (KvFormat format in (KvFormat[])[KvFormat.F32, KvFormat.Int8, KvFormat.F16, KvFormat.F32])
        {
            GenerationOptions options = new() { MaxTokens = 10, KvFormat = format };
            using Generator fresh = new(model, 1);
            Assert.Equal(fresh.Generate([1, 2, 3], options), used.Generate([1, 2, 3], options));
            Assert.Equal(fresh.CacheBytes, used.CacheBytes);
        }

        Assert.Equal(3, Enum.GetValues<KvFormat>().Select(Bytes).Distinct().Count());

        long Bytes(KvFormat format)
        {
            used.Generate([1, 2, 3], new GenerationOptions { MaxTokens = 2, KvFormat = format }).Last();
            return used.CacheBytes;
        }
    }

    [Fact]
    public void A_second_enumeration_ends_the_first()
    {
        using Generator generator = new(TrainerTests.Model(), 1);
        using IEnumerator<int> first = generator.Generate([1], new GenerationOptions()).GetEnumerator(),
            second = generator.Generate([2], new GenerationOptions()).GetEnumerator();
        Assert.True(first.MoveNext());
        Assert.True(second.MoveNext());
        Assert.Throws<InvalidOperationException>(() => first.MoveNext());
    }

    [Fact]
    public void Bad_requests_are_refused()
    {
        using Generator generator = new(TrainerTests.Model(), 1);
        Assert.Throws<TokenException>(() => generator.Generate([], new GenerationOptions()));
        Assert.Contains("position 1", Assert.Throws<TokenException>(() => generator.Generate([1, 11], new GenerationOptions())).Message,
            StringComparison.Ordinal);
        Assert.Equal("Temperature", Assert.Throws<InvalidSettingException>(() => generator.Generate([1], new GenerationOptions { Temperature = -1 })).Setting);
        Assert.Equal("TopP", Assert.Throws<InvalidSettingException>(() => generator.Generate([1], new GenerationOptions { TopP = 0 })).Setting);
        Assert.Equal("MaxTokens", Assert.Throws<InvalidSettingException>(() => generator.Generate([1], new GenerationOptions { MaxTokens = 0 })).Setting);
        Refuses("MinP", new GenerationOptions { MinP = 1.1 });
        Refuses("RepetitionPenalty", new GenerationOptions { RepetitionPenalty = 0 });
        Refuses("RepetitionPenalty", new GenerationOptions { RepetitionPenalty = double.NaN });
        Refuses("EndTokens", new GenerationOptions { EndTokens = [3, 11] });
        Refuses("StopStrings", new GenerationOptions { StopStrings = ["end"] }); // ids have no text
        void Refuses(string setting, GenerationOptions options) =>
            Assert.Equal(setting, Assert.Throws<InvalidSettingException>(() => generator.Generate([1], options)).Setting);
        float[] bad = [.. s_logits];
        bad[3] = float.NaN;
        Assert.Throws<NonFiniteException>(() => generator.Sample(bad, new GenerationOptions(), 0));
        Assert.Throws<ShapeMismatchException>(() => generator.Sample([0f], new GenerationOptions(), 0));
        Assert.Throws<InvalidSettingException>(() => generator.Sample(s_logits, new GenerationOptions { Temperature = double.NaN }, 0));
    }

    private static int[] Draws(GenerationOptions options)
    {
        using Generator generator = new(TrainerTests.Model(), 1);
        return [.. Enumerable.Range(0, 4000).Select(i => generator.Sample(s_logits, options, i))];
    }
}
