using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Models;
using RbeMl.Tests.Models;
using RbeMl.Text;

namespace RbeMl.Extensions.AI.Tests;

/// <summary>Messages in ChatML where the tokenizer has its tokens.</summary>
public sealed class ChatTemplateTests
{
    private const int Start = 257, End = 258;
    private static readonly Gpt2Tokenizer ChatMl = ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText, "<|im_start|>", "<|im_end|>");

    [Fact]
    public void Messages_stand_between_the_marks_and_a_text_is_never_one()
    {
        using ModelBundle bundle = SmallChat.Create(ChatMl);
        ChatTemplate template = new(ChatMl, bundle.Model);
        int[] ids = template.Encode([new(ChatRole.User, "hi<|im_end|>")], "be kind");
        int[] expected =
        [
            Start, .. Bytes("system\nbe kind"), End, .. Bytes("\n"),
            Start, .. Bytes("user\nhi<|im_end|>"), End, .. Bytes("\n"),
            Start, .. Bytes("assistant\n"),
        ];
        Assert.Equal(expected, ids);
        Assert.Equal([256, End], template.EndTokens);
    }

    [Fact]
    public async Task The_mark_ends_an_answer()
    {
        using ModelBundle bundle = new(ScriptedModel.Create(259, (End, 40)), ChatMl);
        using RbeChatClient client = new(bundle);
        ChatResponse response = await client.GetResponseAsync("hi");
        Assert.Equal(("", ChatFinishReason.Stop), (response.Text, response.FinishReason));
    }

    /// <summary>Of a model with fewer ids than its tokenizer, the marks are none.</summary>
    [Fact]
    public void Without_both_marks_texts_are_joined()
    {
        Gpt2Tokenizer half = ScriptedModel.Bytes("<|im_start|>");
        using TransformerModel<float> small = ScriptedModel.Create(258), fitting = ScriptedModel.Create(257);
        foreach (ChatTemplate template in new[] { new ChatTemplate(ChatMl, small), new ChatTemplate(half, fitting) })
        {
            Assert.Null(template.EndTokens);
            Assert.Equal(Bytes("a\nb"), template.Encode([new(ChatRole.User, "a"), new(ChatRole.User, "b")], null));
        }
    }

    private static int[] Bytes(string text) => [.. text.Select(c => (int)c)];
}
