using RbeMl.Fuzz.Mutation;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Fuzz.Kinds;

/// <summary>A file of token ids.</summary>
internal sealed class TokenIdsKind() : SingleFileKind(() => [Samples.Utf8("1 2 3 4 5 6 7 8 9"), Samples.Utf8("1 2 3\n4,5;6\t7\n\n8 9 10\n")])
{
    public override string Name => "token-ids";

    public override object Load(CaseFiles files, Dice dice) => TokenFile.Read(files.WrittenFile(), 1000, 1);

    public override void Use(object loaded, Dice dice) => ((TokenDataset)loaded).Fill(0, 2, 2, new int[4], new int[4]);

    protected override byte[] Mutate(byte[] sample, Dice dice, byte[] other) => TextMutator.Mutate(sample, dice);
}

/// <summary>A text file.</summary>
internal sealed class TextKind() : SingleFileKind(() => [Samples.Utf8(Samples.Text), Samples.Utf8("naïve 日本\r\n\u2028 end\n")])
{
    public override string Name => "text";

    public override object Load(CaseFiles files, Dice dice) => TextFile.ReadAll(files.WrittenFile());

    public override void Use(object loaded, Dice dice)
    {
        foreach (Text.ITokenizer tokenizer in Samples.Tokenizers.Where(t => t is not Text.CharacterTokenizer))
        {
            tokenizer.Decode(tokenizer.Encode((string)loaded));
        }
    }

    protected override byte[] Mutate(byte[] sample, Dice dice, byte[] other) => TextMutator.Mutate(sample, dice);
}
