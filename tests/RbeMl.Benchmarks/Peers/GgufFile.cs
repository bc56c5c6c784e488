using System.Runtime.InteropServices;
using System.Text;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Benchmarks.Peers;

/// <summary>Writes a GPT-2 of dense fp32 weights as GGUF, version 3, which llama.cpp reads and quantises itself.</summary>
internal static class GgufFile
{
    private const int Alignment = 32;
    private const uint Unsigned = 4, Integer = 5, Real = 6, Boolean = 7, Text = 8, List = 9;

    /// <summary>A tensor; its sizes are in GGUF's order, the fastest first.</summary>
    private sealed record Part(string Name, long[] Sizes, float[] Values);

    /// <summary>Writes the file.</summary>
    /// <param name="path">Its place.</param>
    /// <param name="config">The model's shape.</param>
    /// <param name="tables">Tables and the last LayerNorm; its blocks are not looked at.</param>
    /// <param name="blocks">Dense weights of the blocks.</param>
    public static void Write(string path, TransformerConfig config, TransformerWeights tables, IEnumerable<DenseBlockWeights> blocks)
    {
        int d = config.Width, f = config.HiddenWidth, v = config.Vocabulary;
        List<Part> parts =
        [
            new("token_embd.weight", [d, v], tables.TokenEmbedding.Dense!),
            new("position_embd.weight", [d, config.MaxSequenceLength], tables.PositionEmbedding),
            new("output_norm.weight", [d], tables.FinalGamma), new("output_norm.bias", [d], tables.FinalBeta),
        ];
        foreach ((int l, DenseBlockWeights block) in blocks.Index())
        {
            BlockVectors x = block.Vectors;
            string name = $"blk.{l}.";
            parts.AddRange([new(name + "attn_norm.weight", [d], x.Gamma1), new(name + "attn_norm.bias", [d], x.Beta1),
                new(name + "attn_qkv.weight", [d, 3 * d], [.. block.Query, .. block.Key, .. block.Value]),
                new(name + "attn_qkv.bias", [3 * d], [.. x.QueryBias, .. x.KeyBias, .. x.ValueBias]),
                new(name + "attn_output.weight", [d, d], block.Output), new(name + "attn_output.bias", [d], x.OutputBias),
                new(name + "ffn_norm.weight", [d], x.Gamma2), new(name + "ffn_norm.bias", [d], x.Beta2),
                new(name + "ffn_up.weight", [d, f], block.UpProjection), new(name + "ffn_up.bias", [f], x.UpProjectionBias),
                new(name + "ffn_down.weight", [f, d], block.DownProjection), new(name + "ffn_down.bias", [d], x.DownProjectionBias)]);
        }

        using FileStream stream = File.Create(path);
        using BinaryWriter writer = new(stream, Encoding.UTF8);
        List<(string Key, Action Value)> keys = Keys(writer, config);
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)parts.Count);
        writer.Write((ulong)keys.Count);
        foreach ((string key, Action value) in keys)
        {
            Say(writer, key);
            value();
        }

        ulong offset = 0;
        foreach (Part part in parts)
        {
            Say(writer, part.Name);
            writer.Write((uint)part.Sizes.Length);
            foreach (long size in part.Sizes) writer.Write((ulong)size);
            writer.Write(0u); // fp32
            writer.Write(offset);
            offset += (ulong)Aligned(part.Values.LongLength * sizeof(float));
        }

        foreach (Part part in parts)
        {
            Fill(writer);
            writer.Write(MemoryMarshal.AsBytes(part.Values.AsSpan()));
        }

        Fill(writer);
    }

    private static List<(string Key, Action Value)> Keys(BinaryWriter writer, TransformerConfig config)
    {
        string[] tokens = Tokens(config.Vocabulary);
        return
        [
            ("general.architecture", () => Value("gpt2")), ("general.name", () => Value("random")), ("general.file_type", () => Number(0)),
            ("gpt2.context_length", () => Number(config.MaxSequenceLength)), ("gpt2.embedding_length", () => Number(config.Width)),
            ("gpt2.feed_forward_length", () => Number(config.HiddenWidth)), ("gpt2.block_count", () => Number(config.Layers)),
            ("gpt2.attention.head_count", () => Number(config.Heads)), ("gpt2.attention.layer_norm_epsilon", Epsilon),
            ("tokenizer.ggml.model", () => Value("gpt2")), ("tokenizer.ggml.pre", () => Value("gpt-2")),
            ("tokenizer.ggml.tokens", () => Values(tokens)), ("tokenizer.ggml.merges", () => Values([$"{tokens['a']} {tokens['b']}"])),
            ("tokenizer.ggml.token_type", Kinds), ("tokenizer.ggml.bos_token_id", () => Number(config.Vocabulary - 1)),
            ("tokenizer.ggml.eos_token_id", () => Number(config.Vocabulary - 1)), ("tokenizer.ggml.add_bos_token", Never),
        ];

        void Number(int value)
        {
            writer.Write(Unsigned);
            writer.Write((uint)value);
        }

        void Epsilon()
        {
            writer.Write(Real);
            writer.Write((float)config.LayerNormEpsilon);
        }

        void Never()
        {
            writer.Write(Boolean);
            writer.Write(false);
        }

        void Value(string text)
        {
            writer.Write(Text);
            Say(writer, text);
        }

        void Values(string[] texts)
        {
            writer.Write(List);
            writer.Write(Text);
            writer.Write((ulong)texts.Length);
            foreach (string text in texts) Say(writer, text);
        }

        void Kinds()
        {
            writer.Write(List);
            writer.Write(Integer);
            writer.Write((ulong)tokens.Length);
            foreach (string _ in tokens) writer.Write(1);
        }
    }

    // Bytes as GPT-2 spells them, which llama.cpp looks for; what else there is of a vocabulary is never spelt.
    private static string[] Tokens(int vocabulary)
    {
        int other = 256;
        string[] bytes = [.. Enumerable.Range(0, 256).Select(b => ((char)(b is (> 32 and < 127) or (> 160 and not 173) ? b : other++)).ToString())];
        return [.. bytes, .. Enumerable.Range(256, vocabulary - 256).Select(i => $"token{i}")];
    }

    private static void Say(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static long Aligned(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    private static void Fill(BinaryWriter writer)
    {
        writer.Flush();
        long at = writer.BaseStream.Position;
        writer.Write(new byte[Aligned(at) - at]);
    }
}
