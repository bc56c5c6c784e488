using System.Text;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Tests.Models;

public sealed class TextGeneratorTests : IDisposable
{
    // The two bytes of an e with an acute accent, two letters, and the end of text, equally likely.
    private readonly TransformerModel<float> _model = ScriptedModel.Create(257, (0xC3, 20), (0xA9, 20), ('a', 20), ('b', 20), (256, 20));
    private readonly Gpt2Tokenizer _tokenizer = ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText);
    private readonly Generator _generator;

    public TextGeneratorTests() => _generator = new Generator(_model, 1);

    public void Dispose()
    {
        _generator.Dispose();
        _model.Dispose();
    }

    [Fact]
    public void An_end_token_ends_the_text_and_is_no_part_of_it()
    {
        TextGenerator texts = new(_generator, _tokenizer);
        int ended = 0;
        for (ulong seed = 0; seed < 20; seed++)
        {
            GenerationOptions options = new() { MaxTokens = 8, Seed = seed };
            int[] all = [.. _generator.Generate([1], options with { IgnoreEnd = true })], expected = [.. all.TakeWhile(id => id != 256)];
            Assert.Equal(FinishReason.Length, _generator.Finish);
            Assert.Equal(Decoded(expected), string.Concat(texts.Generate([1], options)));
            Assert.Equal(expected, texts.Tokens);
            Assert.Equal(expected.Length < 8 ? FinishReason.EndToken : FinishReason.Length, texts.Finish);
            Assert.Equal(all, texts.Take([1], options with { EndTokens = [] }));
            Assert.Equal(all.TakeWhile(id => id != 'a'), texts.Take([1], options with { EndTokens = ['a'] }));
            if (expected.Length < 8) ended++;
        }

        Assert.InRange(ended, 1, 20);
    }

    [Theory]
    [InlineData("ab")]
    [InlineData("\u00e9")]
    [InlineData("b\u00e9", "aba")]
    [InlineData("<|endoftext|>")]
    [InlineData("\ufffd\ufffd")]
    public void A_stop_string_ends_the_text_wherever_its_tokens_end(params string[] stops)
    {
        TextGenerator texts = new(_generator, _tokenizer);
        int stopped = 0;
        for (ulong seed = 0; seed < 20; seed++)
        {
            GenerationOptions options = new() { MaxTokens = 40, Seed = seed, IgnoreEnd = true };
            string whole = string.Concat(texts.Generate("x", options));
            (int end, int start) =
                stops.Select(s => (End: whole.IndexOf(s, StringComparison.Ordinal) + s.Length, Start: whole.IndexOf(s, StringComparison.Ordinal)))
                .Where(p => p.Start >= 0).DefaultIfEmpty((whole.Length, whole.Length)).Min();
            string[] parts = [.. texts.Generate("x", options with { StopStrings = stops })];
            Assert.DoesNotContain("", parts);
            Assert.Equal(whole[..start], string.Concat(parts));
            Assert.Equal(start < whole.Length ? FinishReason.StopString : FinishReason.Length, texts.Finish);
            Assert.True(texts.Tokens.Count <= 40 && end <= whole.Length);
            if (texts.Finish == FinishReason.StopString) stopped++;
        }

        Assert.InRange(stopped, 5, 20);
    }

    [Fact]
    public async Task The_asynchronous_forms_give_the_same()
    {
        TextGenerator texts = new(_generator, _tokenizer);
        for (ulong seed = 0; seed < 5; seed++)
        {
            GenerationOptions options = new() { MaxTokens = 30, Seed = seed };
            int[] ids = [.. _generator.Generate([1, 2], options)];
            FinishReason? finish = _generator.Finish;
            Assert.Equal(ids, await _generator.GenerateAsync([1, 2], options).ToArrayAsync());
            Assert.Equal(finish, _generator.Finish);
            options = options with { StopStrings = ["ab"], IgnoreEnd = true };
            string[] parts = [.. texts.Generate("x", options)];
            (finish, ids) = (texts.Finish, [.. texts.Tokens]);
            Assert.Equal(parts, await texts.GenerateAsync("x", options).ToArrayAsync());
            Assert.Equal(finish, texts.Finish);
            Assert.Equal(ids, texts.Tokens);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task Cancelled_it_throws_after_what_was_drawn(int after)
    {
        GenerationOptions options = new() { MaxTokens = 30, IgnoreEnd = true };
        int[] whole = [.. _generator.Generate([1], options)];
        List<int> ids = [];
        using CancellationTokenSource first = new(), second = new(), third = new();
        Assert.Throws<OperationCanceledException>(() => Fill(_generator.Generate([1], options, Started(first)), first));
        Assert.Equal((FinishReason.Cancelled, after), (_generator.Finish, ids.Count));
        Assert.Equal(whole[..after], ids);
        ids.Clear();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            Started(second);
            await foreach (int id in _generator.GenerateAsync([1], options).WithCancellation(second.Token))
            {
                ids.Add(id);
                if (ids.Count == after) await second.CancelAsync();
            }
        });
        Assert.Equal(whole[..after], ids);
        Assert.Equal(whole, _generator.Generate([1], options)); // and it can be used again

        // Text that was held back for a stop string or for the rest of a character is given too.
        TextGenerator texts = new(_generator, _tokenizer);
        StringBuilder text = new();
        options = options with { StopStrings = [Decoded([.. whole, 'x'])] };
        Started(third);
        int drawn = 0;
        Assert.Throws<OperationCanceledException>(() =>
        {
            foreach (string part in new TextGenerator(_generator, new Counting(_tokenizer, () => Cancel(third, ++drawn))).Generate([1], options, third.Token))
            {
                text.Append(part);
            }
        });
        Assert.Equal(Decoded(whole[..after]), text.ToString());

        CancellationToken Started(CancellationTokenSource source)
        {
            if (after == 0) source.Cancel();
            return source.Token;
        }

        void Cancel(CancellationTokenSource source, int count)
        {
            if (count == after) source.Cancel();
        }

        void Fill(IEnumerable<int> tokens, CancellationTokenSource source)
        {
            foreach (int id in tokens)
            {
                ids.Add(id);
                Cancel(source, ids.Count);
            }
        }
    }

    [Fact]
    public void A_pass_stops_between_blocks()
    {
        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        using RbeMl.Layers.Workspace<float> workspace = new(1);
        Assert.Throws<OperationCanceledException>(() => _model.LastLogits([1, 2, 3], 1, 3, workspace, null, new float[257], cancelled.Token));
    }

    [Fact]
    public void The_repetition_penalty_counts_each_token_of_the_window_once()
    {
        float[] logits = [2, -2, 1, 0, 5];
        TokenSampler sampler = new(5, ModelTokens.Unknown);
        sampler.Penalize(logits, [0, 1, 0, 3, 1], 2);
        Assert.Equal([1, -4, 1, 0, 5], logits);
        sampler.Penalize(logits, [0], 0.5);
        Assert.Equal([2, -4, 1, 0, 5], logits);
    }

    [Fact]
    public void The_repetition_penalty_looks_at_prompt_and_drawn_tokens_and_forgets_with_the_cache()
    {
        using TransformerModel<float> model = ScriptedModel.Create(8, (1, 10), (2, 9), (3, 8), (4, 7)); // 16 positions
        using Generator generator = new(model, 1);
        GenerationOptions options = new() { MaxTokens = 3, Temperature = 0 };
        Assert.Equal([1, 1, 1], generator.Generate([0], options));
        Assert.Equal([1, 2, 3], generator.Generate([0], options with { RepetitionPenalty = 2 }));
        Assert.Equal([2, 3, 4], generator.Generate([1], options with { RepetitionPenalty = 2 }));
        Assert.Equal([1, 1, 1], generator.Generate([0], options with { RepetitionPenalty = 0.5 }));

        // 15 tokens, the 1 in front: two more fill the positions, then the newer 8 are left and the 1 is new again.
        int[] prompt = [1, .. Enumerable.Repeat(0, 14)];
        Assert.Equal([2, 3, 1], generator.Generate(prompt, options with { RepetitionPenalty = 3 }));
    }

    private string Decoded(int[] ids) => ((ITokenizer)_tokenizer).Decode(ids);

    // Tells of each token whose bytes are asked for.
    private sealed class Counting(ITokenizer inner, Action asked) : ITokenizer
    {
        public int Vocabulary => inner.Vocabulary;

        public int[] Encode(string text) => inner.Encode(text);

        public ReadOnlySpan<byte> Bytes(int token)
        {
            asked();
            return inner.Bytes(token);
        }
    }
}

/// <summary>Short ways to read a text.</summary>
internal static class TextGeneratorExtensions
{
    /// <summary>The tokens of a text.</summary>
    public static int[] Take(this TextGenerator generator, int[] prompt, GenerationOptions options)
    {
        foreach (string part in generator.Generate(prompt, options)) Assert.NotEmpty(part);
        return [.. generator.Tokens];
    }
}
